"""Files end to end: uploads into one's own session only, media for whom they were sent to, and a record of each."""

import json
import re
import socket
import time
from hashlib import sha256
from urllib.parse import urlsplit

import pytest
from streamlit.proto.WidgetStates_pb2 import WidgetState

from tests.e2e.conftest import COLLEAGUE, POLICY, ROOT, STAFF, gateway_served, wait_for
from tests.support.streamlit_client import XSRF_COOKIE, StreamlitClient
from tests.support.streamlit_protocol import uploaded

SCRIPT = ROOT / "tests" / "data" / "streamlit" / "files.py"
LIMITS = 'upload = { max = "200KB", types = [".csv", ".png", ".txt"], files = 20, total = "450KB" }'
TABLE = b"a,b\n1,2\n"
PROGRAM = b"MZ\x90\x00\x03\x00\x00\x00" * 20


@pytest.fixture(scope="module")
def tool(tmp_path_factory):
    policy = POLICY.replace('upload = { max = "200KB" }', LIMITS)
    with gateway_served(tmp_path_factory.mktemp("files"), policy=policy, script=SCRIPT) as gateway:
        yield gateway


@pytest.fixture
def client(tool):
    with tool.connect(STAFF) as opened:
        opened.rerun()
        yield opened


@pytest.fixture
def taking(client):
    """A visitor whose page takes files."""
    client.change({"Take files": True})
    return client


@pytest.fixture
def colleague(tool):
    with tool.connect(COLLEAGUE) as opened:
        opened.rerun()
        opened.change({"Take files": True})
        yield opened


def put(client, urls, name="a.csv", content=TABLE, media_type="text/csv"):
    return client.put(urls, name, content, media_type)


def fetch(client: StreamlitClient, path, method="GET", **headers):
    with client.visitor.http() as http:
        return http.request(method, path, headers={"Accept": "application/json", **headers})


def recorded(tool, answer):
    """Every line about the exchange of that answer, the closing one included."""
    request_id = answer.headers["x-request-id"]

    def lines():
        return [event for event in tool.records() if event["metadata"].get("correlation_uid") == request_id]

    return wait_for(lines, lambda found: found and found[-1]["unmapped"]["gateway"]["phase"] == "outcome")


def reason(tool, answer):
    return recorded(tool, answer)[-1]["unmapped"]["gateway"]["reason"]


def told(answer):
    """What the visitor reads, but for the reference and the time."""
    text = answer.text.replace(answer.headers["x-request-id"], "")
    return answer.status_code, re.sub(r"\d\d:\d\d(:\d\d)?", "", text)


# --- uploads --------------------------------------------------------------------------------------------------


def test_a_file_comes_in_and_is_recorded(tool, taking):
    """A file reaches the script whole; the record has its name, size and SHA-256 before the script does."""
    [urls] = taking.upload_urls(["zählung.csv"])
    answer = put(taking, urls, "zählung.csv")
    assert answer.status_code == 204
    decision, file, outcome = recorded(tool, answer)
    assert [each["unmapped"]["gateway"]["phase"] for each in (decision, file, outcome)] == [
        "decision",
        "file",
        "outcome",
    ]
    assert file["metadata"]["event_code"] == "file.upload"
    assert file["file"] == {
        "name": "zählung.csv",
        "size": len(TABLE),
        "mime_type": "text/csv",
        "hashes": [{"value": sha256(TABLE).hexdigest(), "algorithm_id": 3}],
        "type_id": 1,
    }
    assert file["actor"]["session"] == outcome["actor"]["session"]


def test_the_script_gets_the_file(taking):
    """The visitor's script sees the file as it would without the gateway."""
    assert "'a.csv' text/csv 8" in taking.upload("Files", "a.csv", TABLE).text


def test_nobody_uploads_into_somebody_elses_session(tool, taking, colleague):
    """With the address of another visitor's upload, from another session, nothing comes in; the owner still can."""
    [urls] = taking.upload_urls(["a.csv"])
    foreign = put(colleague, urls)
    assert (foreign.status_code, reason(tool, foreign)) == (403, "upload-not-yours")
    assert put(taking, urls).status_code == 204


def test_a_session_that_does_not_exist_looks_the_same(tool, taking, colleague):
    """Whether a session exists cannot be learned by uploading into it."""
    [urls] = taking.upload_urls(["a.csv"])
    foreign = put(colleague, urls)
    urls.upload_url = urls.upload_url.replace(taking.page.session_id, "0b5c1d2e-1111-4222-8333-444455556666")
    missing = put(colleague, urls)
    assert told(foreign) == told(missing)
    assert reason(tool, missing) == "upload-not-yours"


def test_an_invented_file_id_is_refused(tool, taking):
    """Only ids that Streamlit gave out on the session's own socket are taken, and each of them once."""
    [urls] = taking.upload_urls(["a.csv"])
    real = urls.upload_url
    urls.upload_url = real.rpartition("/")[0] + "/0b5c1d2e-1111-4222-8333-444455556666"
    invented = put(taking, urls)
    assert (invented.status_code, reason(tool, invented)) == (403, "upload-not-expected")
    urls.upload_url = real
    assert put(taking, urls).status_code == 204
    again = put(taking, urls)
    assert (again.status_code, reason(tool, again)) == (403, "upload-not-expected")


def test_a_page_without_an_element_that_takes_files_takes_none(tool, client):
    """Streamlit gives out addresses to everybody who asks; without an element for them they lead nowhere."""
    [urls] = client.upload_urls(["a.csv"])
    answer = put(client, urls)
    assert (answer.status_code, reason(tool, answer)) == (403, "upload-not-expected")


def test_names_are_made_safe(taking):
    """The script never sees a path, a control character or a direction override."""
    for sent in ("../../x.csv", "C:\\temp\\x.csv", "/etc/x.csv", "\u202ex.csv"):
        assert "'x.csv' text/csv" in taking.upload("Files", sent, TABLE).text


def test_folders_of_a_directory_stay(client):
    """A page that takes a directory sees its folders, and none above it."""
    client.change({"Take a folder": True})
    assert "'march/x.csv'" in client.upload("Folder", "../../march/../x.csv".replace("../x", "x"), TABLE).text


KINDS = [
    ("a kind that is not admitted", "a.exe", TABLE, "text/csv", "upload-type-not-allowed"),
    ("a second end", "a.csv.exe", TABLE, "text/csv", "upload-type-not-allowed"),
    ("a program as a table", "a.csv", PROGRAM, "text/csv", "upload-type-mismatch"),
    ("a page as a table", "a.csv", b"<!doctype html><script>1</script>", "text/csv", "upload-type-mismatch"),
    ("a page by its type", "a.csv", TABLE, "text/html", "upload-type-mismatch"),
]


@pytest.mark.parametrize(("what", "name", "content", "media_type", "code"), KINDS, ids=[row[0] for row in KINDS])
def test_kinds_of_files(tool, taking, what, name, content, media_type, code):
    """Only kinds that the policy admits come in; the refusal is recorded with the name."""
    [urls] = taking.upload_urls([name])
    answer = put(taking, urls, name, content, media_type)
    assert answer.status_code == 415
    _, file, outcome = recorded(tool, answer)
    assert outcome["unmapped"]["gateway"]["reason"] == file["unmapped"]["gateway"]["reason"] == code
    assert (file["file"]["name"], file["action_id"], file["status_id"]) == (name, 2, 2)
    assert "hashes" not in file["file"]


def test_three_hundred_files(tool, taking):
    """A session holds as many files as the policy says, whoever asks for how many addresses."""
    answers = [put(taking, urls) for urls in taking.upload_urls([f"{number}.csv" for number in range(300)])]
    assert [answer.status_code for answer in answers[:20]] == [204] * 20
    assert {answer.status_code for answer in answers[20:]} == {413}
    assert reason(tool, answers[-1]) == "uploads-too-many"


def test_all_files_together_have_a_limit_and_removing_gives_back(tool, taking):
    """Files together may be as large as the policy says; what is removed makes room."""
    urls = taking.upload_urls([f"{number}.csv" for number in range(4)])
    content = b"a,b\n" * 45_000
    assert [put(taking, each, content=content).status_code for each in urls[:2]] == [204, 204]
    refused = put(taking, urls[2], content=content)
    assert (refused.status_code, reason(tool, refused)) == (413, "uploads-too-large")
    assert delete(taking, urls[0]).status_code == 204
    assert put(taking, urls[3], content=content).status_code == 204


def test_a_chat_message_that_was_sent_gives_back(tool, client):
    """Files that went to the script with a chat message are not counted any more: a long chat does not run full."""
    client.change({"Chat": True})
    [box] = client.page.kinds("chat_input")
    for number in range(25):
        [urls] = client.upload_urls([f"{number}.csv"])
        assert put(client, urls, f"{number}.csv").status_code == 204
        state = WidgetState(id=box.id)
        state.chat_input_value.data = "see"
        state.chat_input_value.file_uploader_state.CopyFrom(uploaded([(urls, f"{number}.csv", len(TABLE))]))
        page = client.rerun(widget_states=[*client.page.widgets.values(), state])
        assert f"see with ['{number}.csv']" in page.text


def delete(client, urls):
    token = client.visitor.cookies[XSRF_COOKIE]
    return fetch(client, urls.delete_url, "DELETE", **{"X-Xsrftoken": token})


def test_nobody_removes_somebody_elses_file(tool, taking, colleague):
    """A file goes away by its own visitor's wish only."""
    [urls] = taking.upload_urls(["a.csv"])
    put(taking, urls)
    foreign = delete(colleague, urls)
    assert (foreign.status_code, reason(tool, foreign)) == (403, "upload-not-yours")
    assert delete(taking, urls).status_code == 204


def test_one_file_is_limited_to_the_byte(tool, taking):
    """The limit of one file counts its content, not its wrapping."""
    exact, beyond = taking.upload_urls(["a.csv", "b.csv"])
    assert put(taking, exact, content=b"a" * 200_000).status_code == 204
    answer = put(taking, beyond, content=b"a" * 200_001)
    assert (answer.status_code, reason(tool, answer)) == (413, "body-too-large")


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none"])
def test_another_site_cannot_upload_with_a_token_that_it_made_up(tool, taking, site):
    """A token and a cookie that agree prove nothing, a page elsewhere may have made both: the browser says who asks."""
    [urls] = taking.upload_urls(["a.csv"])
    made_up = "2|abcdabcd|" + "0" * 32 + "|1790000000"
    with taking.visitor.http() as http:
        http.cookies.set(XSRF_COOKIE, made_up)
        headers = {"X-Xsrftoken": made_up, "Sec-Fetch-Site": site}
        answer = http.put(urls.upload_url, files={"f": ("a.csv", TABLE, "text/csv")}, headers=headers)
    assert (answer.status_code, reason(tool, answer)) == (403, "origin-not-allowed")


def test_without_the_session_the_address_is_worth_nothing(tool, taking):
    """Who has the address, but not the cookie of the session, cannot upload."""
    [urls] = taking.upload_urls(["a.csv"])
    made_up = "2|abcdabcd|" + "0" * 32 + "|1790000000"
    with tool.http(STAFF, cookies={XSRF_COOKIE: made_up}) as http:
        files = {"f": ("a.csv", TABLE, "text/csv")}
        answer = http.put(urls.upload_url, files=files, headers={"X-Xsrftoken": made_up})
    assert (answer.status_code, reason(tool, answer)) == (403, "upload-not-yours")


def test_who_leaves_in_the_middle_leaves_nothing(tool, taking):
    """A client that goes away during an upload leaves no file, and no room is taken."""
    urls = taking.upload_urls([f"{number}.csv" for number in range(25)])
    for each in urls[:4]:
        half_an_upload(taking, each, announced=180_000, sent=120_000)
    wait_for(lambda: [put_once(taking, urls) for _ in range(1)], lambda found: found == [204])
    gone = [
        event
        for event in tool.records()
        if event["unmapped"]["gateway"].get("surface") == "upload"
        and event["unmapped"]["gateway"]["phase"] == "outcome"
        and not event["unmapped"]["gateway"]["complete"]
    ]
    assert len(gone) >= 4
    assert all(put(taking, each, content=b"a" * 10).status_code == 204 for each in urls[5:24])


def put_once(client, urls):
    return put(client, urls[4], content=b"a" * 150_000).status_code


def half_an_upload(client, urls, announced, sent):
    visitor, url = client.visitor, urlsplit(client.visitor.url)
    cookies = "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())
    head = (
        f"PUT {urls.upload_url} HTTP/1.1\r\nHost: {url.netloc}\r\nCookie: {cookies}\r\n"
        f"X-Xsrftoken: {visitor.cookies[XSRF_COOKIE]}\r\nContent-Length: {announced}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        '--b\r\nContent-Disposition: form-data; name="f"; filename="a.csv"\r\nContent-Type: text/csv\r\n\r\n'
    )
    with socket.create_connection((url.hostname, url.port)) as connection:
        connection.sendall(head.encode() + b"a" * sent)
        time.sleep(0.2)


def test_answers_to_uploads_name_no_other_origin(taking):
    """No answer lets pages of another origin read it, and none names the address of a development server."""
    [urls] = taking.upload_urls(["a.csv"])
    answer = put(taking, urls)
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert fetch(taking, urls.upload_url, "OPTIONS").status_code == 405


def test_the_session_of_an_upload_is_not_in_the_record(tool, taking):
    """The address of an upload holds Streamlit's session id; neither record nor process log has it."""
    taking.upload("Files", "a.csv", TABLE)
    session = taking.page.session_id
    assert not any(session in json.dumps(event) for event in tool.records())
    assert session not in tool.process.output()


# --- media ----------------------------------------------------------------------------------------------------


def addresses(client):
    """Every address of media in the page that the client was sent, by what it is."""
    page = client.page
    images = [image.url for element in page.kinds("imgs") for image in element.imgs]
    downloads = {button.label: button.url for button in page.kinds("download_button")}
    return {
        "picture": images[0],
        "sound": page.kinds("audio")[0].url,
        "film": page.kinds("video")[0].url,
        "subtitles": page.kinds("video")[0].subtitles[0].url,
        "table": downloads["Table"],
        "page": downloads["Page"],
        "logo": page.of_type("logo")[-1].logo.image,
        "icon": page.of_type("page_config_changed")[-1].page_config_changed.favicon,
        "frame": page.kinds("iframe")[0].src,
        "avatar": next(
            message.delta.add_block.chat_message.avatar
            for message in reversed(page.messages)
            if message.delta.add_block.chat_message.avatar
        ),
    }


@pytest.fixture
def ada(client):
    client.change({"Who": "ada"})
    return client


WHAT = ["picture", "sound", "film", "subtitles", "table", "page", "logo", "icon", "frame", "avatar"]


@pytest.mark.parametrize("what", WHAT)
def test_a_visitor_sees_what_was_sent_to_them(ada, what):
    """Every picture, recording and download that a page shows can be fetched by who was shown it."""
    answer = fetch(ada, addresses(ada)[what])
    assert answer.status_code == 200
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "private, no-store"


@pytest.mark.parametrize("what", ["picture", "table", "film"])
def test_somebody_elses_link_is_not_found(tool, ada, colleague, what):
    """A link to somebody else's media is answered as an address where nothing is; the record knows better."""
    foreign = fetch(colleague, addresses(ada)[what])
    missing = fetch(colleague, "/media/" + "0" * 32 + ".png")
    nowhere = fetch(colleague, "/nowhere")
    assert foreign.status_code == 404
    assert told(foreign) == told(missing) == told(nowhere)
    assert set(foreign.headers) == set(nowhere.headers)
    assert reason(tool, foreign) == "media-not-yours"
    assert reason(tool, nowhere) == "not-found"


def test_without_a_session_there_are_no_media(tool, ada):
    """A link that is opened without the cookie of the session shows nothing."""
    answer = tool.get(addresses(ada)["picture"])
    assert (answer.status_code, reason(tool, answer)) == (404, "media-not-yours")


@pytest.mark.parametrize("ending", [".html", ".svg", ""])
def test_an_address_is_taken_as_it_was_sent(ada, ending):
    """An id with another ending than the one that was sent is not found."""
    address = addresses(ada)["picture"].rpartition(".")[0] + ending
    assert fetch(ada, address).status_code == 404


def test_echoing_an_address_grants_nothing(tool, ada, colleague):
    """A visitor who makes the tool repeat an address in its texts, or put it into a frame, may still not read it."""
    address = addresses(ada)["table"]
    colleague.change({"Echo": address})
    assert address in colleague.page.text
    assert any(frame.src == address for frame in colleague.page.kinds("iframe"))
    answer = fetch(colleague, address)
    assert (answer.status_code, reason(tool, answer)) == (404, "media-not-yours")


def test_who_is_shown_the_same_may_read_the_same(ada, colleague):
    """The same content has the same address for all who were shown it."""
    colleague.change({"Who": "ada"})
    address = addresses(colleague)["table"]
    assert address == addresses(ada)["table"]
    assert fetch(ada, address).content == fetch(colleague, address).content == b"name\nada\n"


DISPOSITIONS = [
    ("picture", "image/jpeg", None),
    ("sound", "audio/wav", None),
    ("film", "video/webm", None),
    ("subtitles", "text/vtt; charset=utf-8", "attachment"),
    ("table", "text/csv; charset=utf-8", "attachment; filename*=utf-8''ada%20z%C3%A4hlung.csv"),
    ("page", "text/html; charset=utf-8", 'attachment; filename="page.html"'),
    ("frame", "text/plain; charset=utf-8", "attachment"),
]


@pytest.mark.parametrize(("what", "media_type", "disposition"), DISPOSITIONS, ids=[row[0] for row in DISPOSITIONS])
def test_dispositions(ada, what, media_type, disposition):
    """A browser shows pictures, recordings and films; everything else that is opened by itself is saved."""
    answer = fetch(ada, addresses(ada)[what])
    assert answer.headers["content-type"] == media_type
    assert answer.headers.get("content-disposition") == disposition


def test_a_download_is_recorded(tool, ada):
    """A download leaves its name, size and SHA-256 in the record, under the request that the visitor made."""
    answer = fetch(ada, addresses(ada)["table"])
    decision, file, _ = recorded(tool, answer)
    assert file["metadata"]["event_code"] == "file.download"
    assert file["file"]["name"] == "ada zählung.csv"
    assert file["file"]["size"] == len(answer.content)
    assert file["file"]["hashes"][0]["value"] == sha256(answer.content).hexdigest()
    assert file["unmapped"]["gateway"]["durability"] == "hold"
    assert file["http_request"]["url"]["path"] == decision["http_request"]["url"]["path"]


def test_a_picture_is_recorded_without_its_address(tool, ada):
    """A picture has no name; its address, by which it could be asked for, is not in the record."""
    address = addresses(ada)["picture"]
    _, file, _ = recorded(tool, fetch(ada, address))
    assert re.fullmatch(r"\{sha256:[0-9a-f]{16}\}", file["file"]["name"])
    assert address.rpartition("/")[2] not in json.dumps(tool.records())


def test_a_part_is_recorded_as_what_it_is(tool, ada):
    """Each part that a player asks for is recorded with its own size and digest, and where it lies."""
    address = addresses(ada)["sound"]
    whole = fetch(ada, address).content
    part = fetch(ada, address, Range="bytes=10-29")
    assert (part.status_code, part.content) == (206, whole[10:30])
    _, file, _ = recorded(tool, part)
    assert file["unmapped"]["gateway"]["content_range"] == f"bytes 10-29/{len(whole)}"
    assert (file["file"]["size"], file["file"]["hashes"][0]["value"]) == (20, sha256(whole[10:30]).hexdigest())
    beyond = fetch(ada, address, Range="bytes=999999-")
    assert beyond.status_code == 416
    assert len(recorded(tool, beyond)) == 2


def test_parts_and_heads_of_somebody_elses_media(ada, colleague):
    """Neither a part nor a HEAD tells whether somebody else's medium exists."""
    address = addresses(ada)["sound"]
    assert fetch(colleague, address, Range="bytes=0-1").status_code == 404
    assert fetch(colleague, address, "HEAD").status_code == 404
    assert not fetch(colleague, address, "HEAD").content


def test_a_head_is_no_download(tool, ada):
    """HEAD tells type and length, and no file has left."""
    address = addresses(ada)["table"]
    head = fetch(ada, address, "HEAD")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(fetch(ada, address).content))
    assert len(recorded(tool, head)) == 2


def test_a_download_that_is_made_when_it_is_asked_for(ada, colleague):
    """A download whose content is made at the click belongs to who has clicked."""
    address = ada.download_later("Later")
    assert fetch(ada, address).content == b"made for ada"
    assert fetch(colleague, address).status_code == 404


def test_a_packaged_component_shows_its_media(tool, ada, colleague):
    """Media of a packaged component, such as a PDF viewer, belong to whom its page was sent."""
    ada.change({"Document": True})
    [component] = ada.page.kinds("bidi_component")
    address = re.search(r"/media/\w+\.pdf", str(component))[0]
    answer = fetch(ada, address)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/pdf")
    assert "content-disposition" not in answer.headers
    colleague.change({"Echo": address})
    assert fetch(colleague, address).status_code == 404


def test_a_reconnected_visitor_keeps_their_media(tool, ada):
    """Who loses the connection may go on reading what they had been shown."""
    address = addresses(ada)["table"]
    ada.close()
    assert fetch(ada, address).status_code == 200


def test_files_below_a_base_path(tmp_path):
    """Uploads and media work the same when the tool lives below a path."""
    policy = POLICY.replace('upload = { max = "200KB" }', LIMITS)
    served = gateway_served(tmp_path, policy=policy, script=SCRIPT, env={"GATEWAY_SERVER__BASE_PATH": "/tools"})
    with served as gateway:
        gateway.url += "/tools"
        with gateway.connect() as client, gateway.connect(COLLEAGUE) as other:
            client.rerun()
            other.rerun()
            client.change({"Take files": True, "Who": "ada"})
            address = "/tools" + addresses(client)["table"]
            with client.visitor.http() as http, other.visitor.http() as stranger:
                assert http.get(gateway.url.removesuffix("/tools") + address).status_code == 200
                assert stranger.get(gateway.url.removesuffix("/tools") + address).status_code == 404
            assert "'a.csv' text/csv 8" in client.upload("Files", "a.csv", TABLE).text

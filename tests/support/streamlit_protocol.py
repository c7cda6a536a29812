"""What a browser does in Streamlit's protocol, without the network: messages to send, and the page that they draw.

A rerun request goes up (BackMsg), deltas come down (ForwardMsg) between `new_session` and `script_finished`. The
messages are Streamlit's own protobuf classes, so an upgrade of Streamlit upgrades this client with it.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.Common_pb2 import FileUploaderState, FileURLs, FileURLsRequest, UploadedFileInfo
from streamlit.proto.Element_pb2 import Element
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState

SUBPROTOCOL = "streamlit"
NO_XSRF_TOKEN = "PLACEHOLDER_AUTH_TOKEN"  # what the browser sends in the second place when it has no token

# Which field of WidgetState carries the value of each kind of element (the `value_type` it registers with).
VALUE_FIELDS: Mapping[str, str] = {
    "button": "trigger_value",
    "download_button": "trigger_value",
    "checkbox": "bool_value",
    "number_input": "double_value",
    "pagination": "int_value",
    "color_picker": "string_value",
    "feedback": "string_value",
    "radio": "string_value",
    "selectbox": "string_value",
    "text_area": "string_value",
    "text_input": "string_value",
    "time_input": "string_value",
    "button_group": "string_array_value",
    "date_input": "string_array_value",
    "multiselect": "string_array_value",
    "slider": "double_array_value",
    "file_uploader": "file_uploader_state_value",
}
TRIGGERS = ("trigger_value", "string_trigger_value", "json_trigger_value")
TEXT_FIELDS = ("body", "message", "code_text", "label")


@dataclass
class Page:
    """What the server has drawn: every message, and the elements as they stand after the last run."""

    messages: list[ForwardMsg] = field(default_factory=list)
    session_id: str | None = None
    page_script_hash: str | None = None
    finished: int = 0
    finished_status: int | None = None
    widgets: dict[str, WidgetState] = field(default_factory=dict)
    _elements: dict[tuple[int, ...], Element] = field(default_factory=dict)

    def receive(self, data: bytes) -> ForwardMsg:
        """Take one message from the server, and return it."""
        message = ForwardMsg()
        message.ParseFromString(data)
        self.messages.append(message)
        match message.WhichOneof("type"):
            case "new_session":
                self._begin_run(message)
            case "delta" if message.delta.WhichOneof("type") == "new_element":
                self._elements[tuple(message.metadata.delta_path)] = message.delta.new_element
            case "navigation":
                # With st.navigation the page is known only now; until then it is the main script.
                self.page_script_hash = message.navigation.page_script_hash
            case "script_finished":
                self.finished_status = message.script_finished
                # A run that was interrupted by the next one is not the end: its successor finishes, too.
                if message.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN:
                    self.finished += 1
            case _:
                pass
        return message

    def _begin_run(self, message: ForwardMsg) -> None:
        session = message.new_session
        if session.initialize.session_id:
            self.session_id = session.initialize.session_id
        self.page_script_hash = session.page_script_hash
        if not message.metadata.run.fragment_ids:
            self._elements.clear()

    # --- looking ---

    @property
    def elements(self) -> list[Element]:
        """The elements in the order of the page: main area, sidebar, and so on."""
        return [self._elements[path] for path in sorted(self._elements)]

    @property
    def texts(self) -> list[str]:
        """The text of every element that has one: markdown, headings, alerts, exceptions, code, labels."""
        found = (_text(element) for element in self.elements)
        return [text for text in found if text]

    @property
    def text(self) -> str:
        return "\n".join(self.texts)

    def kinds(self, kind: str) -> list[object]:
        """The elements of a kind, such as `exception` or `download_button`, unwrapped."""
        return [getattr(each, kind) for each in self.elements if each.WhichOneof("type") == kind]

    def of_type(self, kind: str) -> list[ForwardMsg]:
        """Every message of a type so far, such as `navigation` or `page_not_found`."""
        return [message for message in self.messages if message.WhichOneof("type") == kind]

    @property
    def pages(self) -> dict[str, str]:
        """The pages that the last navigation offered: URL path name to script hash."""
        offered = self.of_type("navigation")
        return (
            {page.url_pathname: page.page_script_hash for page in offered[-1].navigation.app_pages} if offered else {}
        )

    def widget(self, label: str) -> tuple[str, str]:
        """Kind and id of the widget with this label.

        Raises:
            LookupError: there is none; the message lists the labels that there are.
        """
        known: list[str] = []
        for element in self.elements:
            kind = element.WhichOneof("type") or ""
            if kind in VALUE_FIELDS:
                widget = getattr(element, kind)
                known.append(getattr(widget, "label", ""))
                if known[-1] == label:
                    return kind, widget.id
        raise LookupError(f"no widget {label!r} among {known}")

    # --- acting ---

    def set(self, values: Mapping[str, object]) -> list[WidgetState]:
        """The states to send after these changes by label: all values so far, as a browser does, and triggers once."""
        triggers: list[WidgetState] = []
        for label, value in values.items():
            kind, widget_id = self.widget(label)
            state = widget_state(widget_id, VALUE_FIELDS[kind], value)
            if VALUE_FIELDS[kind] in TRIGGERS:
                triggers.append(state)
            else:
                self.widgets[widget_id] = state
        return [*self.widgets.values(), *triggers]


def widget_state(widget_id: str, field_name: str, value: object) -> WidgetState:
    """The state of one widget; lists and uploads are wrapped as the field wants them."""
    state = WidgetState(id=widget_id)
    target = getattr(state, field_name)
    if field_name.endswith("_array_value"):
        target.data.extend(value)
        target.SetInParent()
    elif hasattr(target, "CopyFrom"):
        target.CopyFrom(value)
    else:
        setattr(state, field_name, value)
    return state


def rerun(
    *,
    page_name: str = "",
    page_script_hash: str = "",
    widget_states: Iterable[WidgetState] = (),
    query_string: str = "",
    fragment_id: str = "",
) -> BackMsg:
    """The request to run a page; without page the default one."""
    state = ClientState(
        query_string=query_string, page_script_hash=page_script_hash, page_name=page_name, fragment_id=fragment_id
    )
    state.widget_states.widgets.extend(widget_states)
    state.context_info.timezone = "UTC"
    state.context_info.locale = "en-GB"
    return BackMsg(rerun_script=state)


def file_urls(session_id: str, names: Iterable[str], request_id: str = "upload-1") -> BackMsg:
    """The request for addresses to upload to."""
    return BackMsg(
        file_urls_request=FileURLsRequest(request_id=request_id, session_id=session_id, file_names=list(names))
    )


def deferred_file(session_id: str, file_id: str, request_id: str = "later-1") -> BackMsg:
    """The request to make a download that was announced."""
    message = BackMsg()
    request = message.backend_operation_request
    request.request_id, request.session_id, request.deferred_file.file_id = request_id, session_id, file_id
    return message


def uploaded(files: Iterable[tuple[FileURLs, str, int]]) -> FileUploaderState:
    """The value of a file uploader after uploads: address, name and size in bytes of each."""
    infos = [UploadedFileInfo(file_id=urls.file_id, name=name, size=size, file_urls=urls) for urls, name, size in files]
    return FileUploaderState(uploaded_file_info=infos)


def _text(element: Element) -> str:
    kind = element.WhichOneof("type")
    if kind is None:
        return ""
    inner = getattr(element, kind)
    if kind == "json":
        return json.dumps(json.loads(inner.body))
    parts = [getattr(inner, name) for name in TEXT_FIELDS if hasattr(inner, name)]
    return "\n".join(part for part in parts if isinstance(part, str) and part)

"""What each reason means to the people who meet it: status, close code, words, and who can do something about it.

`OUTCOMES` has one `Outcome` for every `Reason` (a test closes it over the enum), and `docs/reasons.md` has one
heading for each. The words are for the visitor: what happened and what to do next. They never name a rule, a network,
a limit or a part of the machine, so that a refusal teaches nothing to somebody who probes. Who needs more has the
request id.

Statuses are those of RFC 9110 §15 and RFC 6585 (429, 431). Close codes are those of RFC 6455 §7.4.1 (1008 policy
violation, 1009 too big, 1011 internal error) and of its registry (1013 try again later); 4000-4999 are for private use,
and ours repeat the HTTP status: 4401, 4403, 4408, 4429.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from gateway.model import Reason


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one reason is told.

    `close_code` ends a WebSocket that was already open (None: cannot end one). `retry_after` is in seconds, for places
    that know no better. `owner` is who can remove the cause: the visitor, or those who run the gateway.
    """

    status: int
    close_code: int | None
    title: str
    meaning: str
    advice: str
    retry_after: int | None = None
    owner: Literal["visitor", "operator"] = "visitor"


PROTOCOL_ERROR: Final = 1002
POLICY_VIOLATION: Final = 1008
TOO_BIG: Final = 1009
BROKEN: Final = 1011
TRY_LATER: Final = 1013
SIGNED_OUT: Final = 4401
REFUSED: Final = 4403
TIMED_OUT: Final = 4408
TOO_MANY: Final = 4429

_NO_ADDRESS_TITLE: Final = "We could not tell where you are connecting from"
_NO_ADDRESS_ADVICE: Final = "Report this to support and quote the reference: it is for the operators to put right."
_BAD_REQUEST_TITLE: Final = "The request could not be understood"
_BAD_REQUEST_ADVICE: Final = (
    "Load the page again. If you wrote the request with a program, correct it. If the problem stays, quote the"
    " reference to support."
)

_ALLOWED: Final[Mapping[Reason, Outcome]] = {
    Reason.ALLOWED_BY_RULE: Outcome(
        200,
        None,
        "Access allowed",
        "You have access to this tool.",
        "There is nothing you need to do.",
    ),
}

_ADMISSION: Final[Mapping[Reason, Outcome]] = {
    Reason.DENIED_BY_RULE: Outcome(
        403,
        REFUSED,
        "You do not have access",
        "The policy of this service does not let you use this part of it.",
        "If you need it for your work, ask support for access and quote the reference.",
    ),
    Reason.NO_RULE_MATCHED: Outcome(
        403,
        REFUSED,
        "You do not have access",
        "This service is open only to those who were given access. From where you are now, you are not among them.",
        "Connect to the company network or its VPN and try again. If it does not help, quote the reference to support.",
    ),
    Reason.SIGN_IN_REQUIRED: Outcome(
        401,
        SIGNED_OUT,
        "Please sign in",
        "This page is for people who have signed in, and you have not, or your session has ended.",
        "Sign in and open the page again. If you have just done so, quote the reference to support.",
    ),
    Reason.SESSION_ENDED: Outcome(
        401,
        SIGNED_OUT,
        "Your session has ended",
        "You have not used the tool for a while, or it has been open for as long as it may be.",
        "Load the page again to go on. What you had entered and not saved is gone.",
    ),
    Reason.STEP_UP_REQUIRED: Outcome(
        401,
        SIGNED_OUT,
        "Please confirm that it is you",
        "This page asks for a stronger proof of who you are than the one you signed in with.",
        "Sign in again with your second factor. If you have none, ask support and quote the reference.",
    ),
    Reason.HOST_MISSING: Outcome(
        400,
        REFUSED,
        _BAD_REQUEST_TITLE,
        "The request did not say which site it was meant for.",
        "Open the tool by its usual address. If the problem stays, quote the reference to support.",
    ),
    Reason.HOST_MALFORMED: Outcome(
        400,
        REFUSED,
        _BAD_REQUEST_TITLE,
        "The name of the site in the request is not a valid name.",
        "Open the tool by its usual address. If the problem stays, quote the reference to support.",
    ),
    Reason.HOST_NOT_ALLOWED: Outcome(
        421,
        REFUSED,
        "This is not the address of the tool",
        "The service does not answer to the name that you used to reach it.",
        "Open the tool by its usual address. If this is the usual one, quote the reference to support.",
    ),
    Reason.HTTPS_REQUIRED: Outcome(
        403,
        REFUSED,
        "A secure connection is required",
        "You reached this service over a connection that is not encrypted, and it does not answer there.",
        "Open the same address with https:// at its beginning. If that fails, quote the reference to support.",
    ),
    Reason.ORIGIN_MISSING: Outcome(
        403,
        REFUSED,
        "The connection was refused",
        "The request did not say from which page it came, as every browser does for this kind of connection.",
        "Open the tool in a current browser. If you already do, quote the reference to support.",
    ),
    Reason.ORIGIN_NOT_ALLOWED: Outcome(
        403,
        REFUSED,
        "The connection was refused",
        "The request came from a page of another site, which may not act in your name here.",
        "Open the tool directly by its usual address. If you already did, quote the reference to support.",
    ),
    Reason.IDENTITY_HEADER_SMUGGLED: Outcome(
        400,
        REFUSED,
        _BAD_REQUEST_TITLE,
        "The request carried information about you that only this service may set.",
        "Turn off browser extensions and programs that change requests, then try again. If the problem stays, quote the"
        " reference to support.",
    ),
}

_CLIENT_ADDRESS: Final[Mapping[Reason, Outcome]] = {
    Reason.CLIENT_ADDRESS_UNKNOWN: Outcome(
        403,
        REFUSED,
        _NO_ADDRESS_TITLE,
        "The request came without a network address, and without one nobody is let in.",
        _NO_ADDRESS_ADVICE,
        owner="operator",
    ),
    Reason.CLIENT_ADDRESS_MALFORMED: Outcome(
        403,
        REFUSED,
        _NO_ADDRESS_TITLE,
        "The network address that came with the request is not a valid address.",
        _NO_ADDRESS_ADVICE,
        owner="operator",
    ),
    Reason.CLIENT_ADDRESS_ALL_TRUSTED: Outcome(
        403,
        REFUSED,
        _NO_ADDRESS_TITLE,
        "The request named only machines of our own on its way, and no visitor behind them.",
        _NO_ADDRESS_ADVICE,
        owner="operator",
    ),
    Reason.CLIENT_ADDRESS_AMBIGUOUS: Outcome(
        403,
        REFUSED,
        _NO_ADDRESS_TITLE,
        "The request named its sender in more than one way, and the answers cannot be told apart.",
        _NO_ADDRESS_ADVICE,
        owner="operator",
    ),
    Reason.CLIENT_ADDRESS_CHAIN_TOO_SHORT: Outcome(
        403,
        REFUSED,
        _NO_ADDRESS_TITLE,
        "The request did not take the way to this service that is expected.",
        "Open the tool by its usual address. If you already did, quote the reference to support.",
        owner="operator",
    ),
}

_REQUEST: Final[Mapping[Reason, Outcome]] = {
    Reason.REQUEST_MALFORMED: Outcome(
        400,
        POLICY_VIOLATION,
        _BAD_REQUEST_TITLE,
        "The request does not follow the rules of the protocol.",
        _BAD_REQUEST_ADVICE,
    ),
    Reason.REQUEST_TIMEOUT: Outcome(
        408,
        TIMED_OUT,
        "The request took too long",
        "The request did not arrive completely within the time allowed for it.",
        "Check your connection and try again. If it happens again, quote the reference to support.",
    ),
    Reason.TARGET_MALFORMED: Outcome(
        400,
        POLICY_VIOLATION,
        "The address is not valid",
        "The address of the page contains something that is not permitted there.",
        "Open the tool from its start page, and follow its own links from there.",
    ),
    Reason.TARGET_TOO_LONG: Outcome(
        414,
        POLICY_VIOLATION,
        "The address is too long",
        "The address of the page is longer than this service accepts.",
        "Open the tool from its start page. If a link in the tool brought you here, quote the reference to support.",
    ),
    Reason.HEADERS_MALFORMED: Outcome(
        400,
        POLICY_VIOLATION,
        _BAD_REQUEST_TITLE,
        "The request carries headers that do not follow the rules of the protocol.",
        _BAD_REQUEST_ADVICE,
    ),
    Reason.HEADERS_TOO_LARGE: Outcome(
        431,
        POLICY_VIOLATION,
        "The request carries too much",
        "The headers of the request, cookies included, are larger than this service accepts.",
        "Delete the cookies of this site in your browser and try again. If that does not help, quote the reference to"
        " support.",
    ),
    Reason.BODY_TOO_LARGE: Outcome(
        413,
        TOO_BIG,
        "This is too large to send",
        "What you sent is larger than this service accepts at once.",
        "Send a smaller file or split it. If you need larger ones for your work, quote the reference to support.",
    ),
    Reason.METHOD_NOT_ALLOWED: Outcome(
        405,
        POLICY_VIOLATION,
        "This cannot be done here",
        "The address exists, but not for what the request wanted to do with it.",
        "Open the page from the tool itself. If you wrote the request with a program, correct its method.",
    ),
    Reason.NOT_FOUND: Outcome(
        404,
        POLICY_VIOLATION,
        "There is nothing at this address",
        "The page does not exist, or no longer does.",
        "Check the address for a typing mistake, or open the tool from its start page.",
    ),
    # To the visitor the same as an address where nothing is: whose it is, or that it exists, is not told.
    Reason.MEDIA_NOT_YOURS: Outcome(
        404,
        None,
        "There is nothing at this address",
        "The page does not exist, or no longer does.",
        "Check the address for a typing mistake, or open the tool from its start page.",
    ),
    Reason.UPLOAD_NOT_YOURS: Outcome(
        403,
        None,
        "The file was not accepted",
        "It was meant for a window of the tool that is not open in your session.",
        "Load the page again and add the file once more. If it happens again, quote the reference to support.",
    ),
    Reason.UPLOAD_NOT_EXPECTED: Outcome(
        403,
        None,
        "The file was not accepted",
        "The tool has not asked you for this file.",
        "Load the page again and add the file there. If it happens again, quote the reference to support.",
    ),
    Reason.UPLOAD_MALFORMED: Outcome(
        400,
        None,
        "The file was not accepted",
        "It did not arrive in the form in which browsers send files.",
        "Load the page again and add the file once more. If you wrote the request with a program, correct it.",
    ),
    Reason.UPLOAD_TYPE_NOT_ALLOWED: Outcome(
        415,
        None,
        "Files of this kind are not accepted",
        "The end of the file's name says that it is of a kind that this service does not take.",
        "Save it as one of the kinds that the tool names. If you need this kind, quote the reference to support.",
    ),
    Reason.UPLOAD_TYPE_MISMATCH: Outcome(
        415,
        None,
        "The file is not what its name says",
        "What the file begins with does not fit the end of its name.",
        "Open it in the program it comes from and save it again, under the right name.",
    ),
    Reason.UPLOADS_TOO_MANY: Outcome(
        413,
        None,
        "Too many files",
        "This window of the tool already holds as many files as this service accepts.",
        "Remove some of them, or load the page again to begin anew.",
    ),
    Reason.UPLOADS_TOO_LARGE: Outcome(
        413,
        None,
        "The files are too large together",
        "With this file, those in this window of the tool are larger together than this service accepts.",
        "Remove some of them, or load the page again to begin anew.",
    ),
    Reason.MESSAGE_NOT_ALLOWED: Outcome(
        400,
        POLICY_VIOLATION,
        "The connection was closed",
        "Your browser sent a command that is not in use here.",
        "Load the page again. If it happens again, quote the reference to support.",
    ),
    Reason.MESSAGE_MALFORMED: Outcome(
        400,
        PROTOCOL_ERROR,
        "The connection was closed",
        "Your browser sent a message that could not be understood.",
        "Load the page again. If it happens again, quote the reference to support.",
    ),
    Reason.MESSAGE_TOO_LARGE: Outcome(
        413,
        TOO_BIG,
        "This is too large to send",
        "Your browser sent a message that is larger than this service accepts.",
        "Load the page again. If it happens again, tell support what you were doing and quote the reference.",
    ),
    Reason.RATE_LIMITED: Outcome(
        429,
        TOO_MANY,
        "Too many requests",
        "More requests came from you in a short time than this service accepts.",
        "Wait a moment, then try again. Close tabs and programs that reload the tool on their own.",
        retry_after=10,
    ),
    Reason.TOO_MANY_SOCKETS: Outcome(
        429,
        TOO_MANY,
        "The tool is open too many times",
        "You have more windows or tabs of this tool open than this service accepts.",
        "Close some of them, wait a moment, then try again.",
        retry_after=10,
    ),
    Reason.READER_TOO_SLOW: Outcome(
        408,
        TIMED_OUT,
        "The connection is too slow",
        "Your browser did not take in what the tool had sent it, so the connection was closed.",
        "Check your connection, then load the page again. If the page is very large, tell whoever runs the tool.",
    ),
}

_SERVICE: Final[Mapping[Reason, Outcome]] = {
    Reason.TOO_MANY_CONNECTIONS: Outcome(
        503,
        TRY_LATER,
        "The service is busy",
        "More connections are open at the moment than this service can serve.",
        "Wait a moment, then try again. If it lasts longer than a few minutes, quote the reference to support.",
        retry_after=30,
        owner="operator",
    ),
    Reason.APPLICATION_REFUSED: Outcome(
        403,
        REFUSED,
        "The tool does not permit this",
        "You have access to the service, but the tool itself has refused this request.",
        "If you need it for your work, ask support and quote the reference.",
    ),
    Reason.APPLICATION_ERROR: Outcome(
        500,
        BROKEN,
        "The tool has failed",
        "Something went wrong inside the tool while it answered you. It is not your mistake.",
        "Try again. If it happens again, tell support what you were doing and quote the reference.",
        owner="operator",
    ),
    Reason.ENGINE_ERROR: Outcome(
        500,
        BROKEN,
        "The service has failed",
        "Something went wrong while your access was being checked, so it was refused. It is not your mistake.",
        "Try again. If it happens again, quote the reference to support.",
        owner="operator",
    ),
    Reason.AUDIT_UNAVAILABLE: Outcome(
        503,
        TRY_LATER,
        "The service is paused",
        "Requests cannot be recorded at the moment, and nothing is served without a record.",
        "Try again in a few minutes. If it lasts longer, quote the reference to support.",
        retry_after=60,
        owner="operator",
    ),
    Reason.NOT_READY: Outcome(
        503,
        TRY_LATER,
        "The service is starting",
        "The service is not ready to answer yet, or is about to stop.",
        "Wait a moment, then try again. If it lasts longer than a few minutes, quote the reference to support.",
        retry_after=10,
        owner="operator",
    ),
}

OUTCOMES: Final[Mapping[Reason, Outcome]] = MappingProxyType(
    {**_ALLOWED, **_ADMISSION, **_CLIENT_ADDRESS, **_REQUEST, **_SERVICE}
)

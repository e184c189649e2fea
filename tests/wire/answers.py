"""What stands before the emulator does with answers: takes the emulator's whole, gives one of its own."""

import json


def forward(app, environ) -> tuple[str, list[tuple[str, str]], bytes]:
    """Status, headers and body of the application's answer."""
    answered = {}

    def start(status, headers, _exc_info=None):
        answered.update(status=status, headers=headers)

    body = b"".join(app(environ, start))
    return answered["status"], answered["headers"], body


def tell(value, start_response, status: str = "200 OK") -> list[bytes]:
    """Answers with JSON for tests and people; what JSON has no form for is told as text."""
    body = json.dumps(value, indent=1, default=str).encode() + b"\n"
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]

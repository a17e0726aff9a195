"""What the API says of itself is valid, and holds: schemathesis against a causewayd in a network of its own.

    unshare --net python hammer.py CAUSEWAYD    (in the virtual environment that `cargo xtask test interop` makes)

The daemon listens on a Unix socket; a relay lets programs reach it that speak TCP alone.
"""

import http.client
import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time

from openapi_spec_validator import validate

SEED = 20261126
EXAMPLES = 12
PORT = 8080
HERE = f"http://127.0.0.1:{PORT}"
# Rules of our own beyond the schema (a secret that is not there, a prefix twice) refuse what is valid by it, and lenient
# reading (a query parameter twice, an empty If-Match) takes what is not: both are told apart by our own tests.
UNCHECKED = [
    "positive_data_acceptance", "negative_data_rejection", "unsupported_method",
    # A change without If-Match is 428 (RFC 6585 §3), which it does not expect.
    "missing_required_header",
    # Two paths that differ by an action after a colon are one to OPTIONS.
    "allow_header_conformance",
]


def relay(path):
    """Carries each connection to the Unix socket."""

    def carry(source, sink):
        try:
            while octets := source.recv(65536):
                sink.sendall(octets)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    listener = socket.create_server(("127.0.0.1", PORT))

    def serve():
        while True:
            client, _ = listener.accept()
            server = socket.socket(socket.AF_UNIX)
            server.connect(path)
            for ends in ((client, server), (server, client)):
                threading.Thread(target=carry, args=ends, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()


def ask(verb, path, body=None, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=30)
    connection.request(verb, f"/api/v1{path}", body, headers or {})
    answer = connection.getresponse()
    text = answer.read()
    assert answer.status == 200, (verb, path, answer.status, text)
    return json.loads(text)


def configure():
    """One connection, so that there is something to be read and changed."""
    ask("PUT", "/secrets/psk-b", "Geheim1")
    document = {
        "gateway": {"ip_configurations": {"default": {"address": "192.0.2.1"}}, "address_space": ["10.1.0.0/24"]},
        "sites": {"b": {"endpoint": "192.0.2.2", "address_space": ["10.2.0.0/24"]}},
        "connections": {"to-b": {"site": "b", "authentication": {"method": "psk", "secret": "psk-b"}}},
    }
    ask("PUT", "/config", json.dumps(document), {"If-Match": '"0"'})


def main():
    daemon = sys.argv[1]
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "address", "add", "192.0.2.1/24", "dev", "lo"], check=True)
    with tempfile.TemporaryDirectory() as folder:
        runtime = pathlib.Path(folder, "run")
        state = pathlib.Path(folder, "state")
        log = open(pathlib.Path(folder, "log"), "w+", encoding="utf-8")
        command = [daemon, "--state", state, "--runtime", runtime, "--datapath", "user"]
        process = subprocess.Popen(command, stderr=log)
        try:
            path = runtime / "control.sock"
            deadline = time.monotonic() + 30
            while not path.exists():
                assert process.poll() is None and time.monotonic() < deadline, log.seek(0) or log.read()
                time.sleep(0.05)
            relay(str(path))
            configure()
            validate(ask("GET", "/openapi.json"))
            print("the description is valid OpenAPI 3.1", flush=True)
            run = subprocess.run(
                [
                    pathlib.Path(sys.executable).with_name("schemathesis"), "run", f"{HERE}/api/v1/openapi.json",
                    "--url", f"{HERE}/api/v1", "--seed", str(SEED), "--max-examples", str(EXAMPLES),
                    "--suppress-health-check", "all", "--checks", "all", "--exclude-checks", ",".join(UNCHECKED),
                    "--continue-on-failure", "--warnings", "off", *sys.argv[2:],
                ],
                cwd=folder, check=False,
            )
            ended = process.poll()
            # It answers still, and says what it did before.
            ask("GET", "/status/system")
            assert ended is None, f"causewayd ended with {ended}"
        finally:
            process.terminate()
            process.wait(10)
            log.seek(0)
            panics = [line for line in log if "panicked" in line]
            assert not panics, panics
    sys.exit(run.returncode)


main()

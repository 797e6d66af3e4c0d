"""ClickHouse's HTTP interface before chdb, the ClickHouse engine as a Python package: as much of it as dnsvet uses.

POST / with a statement as the body, rows of an INSERT behind it; user and password in X-ClickHouse-User and -Key.
Errors come as HTTP statuses with ClickHouse's text. Prints `http://ADDRESS:PORT` once it listens, and ends when its
standard input does. One statement runs at a time.
"""

import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from chdb import session

USER, PASSWORD = "dnsvet", os.environ["FRONT_PASSWORD"]
engine = session.Session(sys.argv[1])
turn = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        statement = self.rfile.read(int(self.headers["Content-Length"]))
        given = (self.headers.get("X-ClickHouse-User"), self.headers.get("X-ClickHouse-Key"))
        if given != (USER, PASSWORD):
            return self.answer(403, b"Code: 516. DB::Exception: Authentication failed. (AUTHENTICATION_FAILED)")
        try:
            with turn:
                result = engine.query(statement.decode())
            self.answer(200, result.bytes())
        except Exception as error:
            self.answer(404 if "UNKNOWN_" in str(error) else 500, str(error).encode())

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main():
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2]) if len(sys.argv) > 2 else 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print("http://%s:%d" % server.server_address, flush=True)
    sys.stdin.read()
    os._exit(0)


main()

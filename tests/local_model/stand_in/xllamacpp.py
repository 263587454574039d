"""Stands in for llama.cpp's wheel in the child process: the same two classes, a scripted model.

What the model file says decides how it behaves: `refuse` does not load, `crash` ends the process at the first request.
"""

import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace


class CommonParams:
    def __init__(self):
        self.model = SimpleNamespace(path="")
        self.cpuparams = SimpleNamespace(n_threads=0)
        self.cpuparams_batch = SimpleNamespace(n_threads=0)


class Server:
    def __init__(self, params):
        script = Path(params.model.path).read_text()
        if "refuse" in script:
            sys.stderr.write("0.00.008.238 E gguf_init_from_reader: invalid magic characters\n")
            raise RuntimeError("Failed to init server, please check the input params.")

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                if "crash" in script:
                    os._exit(9)
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                known = [f"Bearer {key}" for key in params.api_keys]
                answer = {"asked": body, "process": os.getpid(), "context": params.n_ctx}
                # Also a completion, of whoever asks for one.
                message = {"role": "assistant", "content": json.dumps(answer)}
                answer["choices"] = [{"message": message, "finish_reason": "stop"}]
                self.send_response(200 if self.headers["authorization"] in known else 401)
                self.send_header("content-type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(answer).encode())

            def log_message(self, *args):
                pass

        http = ThreadingHTTPServer((params.hostnames[0], params.port), Handler)
        threading.Thread(target=http.serve_forever, daemon=True).start()
        self.listening_address = f"http://127.0.0.1:{http.server_port}"

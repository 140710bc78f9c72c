"""Certificates of one test, made by openssl."""

from __future__ import annotations

import pathlib
import subprocess


class Authority:
    """An authority that nobody else trusts, with a server's certificate for localhost."""

    def __init__(self, folder: pathlib.Path):
        self.certificate = folder / "authority.pem"
        key, request = folder / "authority.key", folder / "server.csr"
        server, server_key = folder / "server.pem", folder / "server.key"
        names = folder / "names"
        names.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        self._openssl("req", "-x509", *new_key, "-days", "2", "-subj", "/CN=Test authority",
                      "-keyout", key, "-out", self.certificate)  # fmt: skip
        self._openssl("req", *new_key, "-subj", "/CN=localhost", "-keyout", server_key, "-out", request)
        self._openssl("x509", "-req", "-days", "2", "-in", request, "-CA", self.certificate, "-CAkey", key,
                      "-CAcreateserial", "-extfile", names, "-out", server)  # fmt: skip
        #: What a listener of mosquitto's is told.
        self.configuration = f"allow_anonymous true\ncertfile {server}\nkeyfile {server_key}\n"

    @staticmethod
    def _openssl(*arguments: object) -> None:
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)

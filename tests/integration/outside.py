"""What notices are sent to, for real: a web server that keeps what it is sent, and a mail server with STARTTLS."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Receiver:
    """Answers every `POST` with the next of `statuses`, then with 200."""

    statuses: list[int] = field(default_factory=list)
    answer: bytes = b'{"ok": true}'
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.requests.append((first.split()[1], headers, body))
        status = self.statuses.pop(0) if self.statuses else 200
        head = f"HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {len(self.answer)}\r\n\r\n"
        writer.write(head.encode() + self.answer)
        await writer.drain()
        writer.close()

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        async with await asyncio.start_server(self.handle, "127.0.0.1", 0) as server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    def bodies(self, path: str) -> list[bytes]:
        return [body for at, _, body in self.requests if at == path]


@dataclass
class MailServer:
    """Takes letters over STARTTLS from whoever has the password; in clear it takes nothing."""

    certificate: Path
    key: Path
    password: str
    letters: list[tuple[list[str], str]] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        secured = known = False
        to: list[str] = []

        async def say(line: str) -> None:
            writer.write(f"{line}\r\n".encode())
            await writer.drain()

        await say("220 test ESMTP")
        while line := (await reader.readline()).decode().strip():
            verb = line.split()[0].upper()
            if verb == "EHLO":
                await say("250-test")
                await say("250 AUTH PLAIN" if secured else "250 STARTTLS")
            elif verb == "STARTTLS":
                await say("220 go")
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(self.certificate, self.key)
                await writer.start_tls(context)
                secured = True
            elif verb == "AUTH":
                self.logins.append(line)
                given = base64.b64decode(line.split()[2]).decode().split("\0")
                known = secured and given[2] == self.password
                await say("235 welcome" if known else f"535 no: {given[2]}")
            elif verb == "MAIL":
                to = []
                await say("250 ok" if known else "530 log in first")
            elif verb == "RCPT":
                to.append(line.partition("<")[2].rstrip(">"))
                await say("250 ok")
            elif verb == "DATA":
                await say("354 go")
                letter = (await reader.readuntil(b"\r\n.\r\n")).decode()
                self.letters.append((to, letter))
                await say("250 taken")
            elif verb == "QUIT":
                await say("221 bye")
                break
            else:
                await say("250 ok")
        writer.close()

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[int]:
        async with await asyncio.start_server(self.handle, "127.0.0.1", 0) as server:
            yield int(server.sockets[0].getsockname()[1])

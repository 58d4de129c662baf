"""E-mail over SMTP, with STARTTLS unless the pack says otherwise; smtplib in a thread, one connection a letter."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from email.message import EmailMessage
from uuid import UUID

from services.gateway.clients.outside import TIMEOUT_S, DeliveryError, read_secret
from shared.packs.notify import EmailChannel


async def send_letter(channel: EmailChannel, *, message_id: UUID, subject: str, text: str) -> None:
    """Sends one letter to all addresses of the channel. Raises DeliveryError; a 5xx of the server is final."""
    password = read_secret(channel.password) if channel.password is not None else None
    letter = EmailMessage()
    letter["From"] = channel.sender
    letter["To"] = ", ".join(channel.to)
    letter["Subject"] = " ".join(subject.split())  # no line breaks: they would begin another header
    letter["Message-ID"] = f"<{message_id}@homeostat.invalid>"
    letter["Auto-Submitted"] = "auto-generated"
    letter.set_content(text)
    await asyncio.to_thread(_send, channel, letter, password)


def _send(channel: EmailChannel, letter: EmailMessage, password: str | None) -> None:
    try:
        with smtplib.SMTP(channel.host, channel.port, timeout=TIMEOUT_S) as server:
            if channel.starttls:
                server.starttls(context=ssl.create_default_context(cafile=channel.ca_file))
            if channel.username is not None and password is not None:
                server.login(channel.username, password)
            server.send_message(letter, channel.sender, list(channel.to))
    except smtplib.SMTPRecipientsRefused as error:
        codes = {code for code, _ in error.recipients.values()}
        raise DeliveryError(f"{channel.host} refused every address", is_final=min(codes, default=0) >= 500) from None
    except smtplib.SMTPResponseException as error:
        # only the number: servers repeat in their texts what they were told
        raise DeliveryError(f"{channel.host} answered {error.smtp_code}", is_final=error.smtp_code >= 500) from None
    except (OSError, smtplib.SMTPException) as error:
        raise DeliveryError(f"{channel.host}: {type(error).__name__}") from None

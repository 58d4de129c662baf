"""Log lines of common shapes, written for this bench, with the statement that printed each known.

They stand for systems that nobody tuned on: a web server's access log, a database, an orchestrator, stack traces,
a system log, JSON and logfmt.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable

LINES = 1_000
_FIELD = re.compile(r"\{(\w+)\}")
_USERS = (
    "alice",
    "bob",
    "carol",
    "dave",
    "erin",
    "frank",
    "grace",
    "heidi",
    "ivan",
    "judy",
    "mallory",
    "niaj",
    "olivia",
)
_TABLES = (
    "orders",
    "customers",
    "invoices",
    "payments",
    "shipments",
    "products",
    "reviews",
    "carts",
    "coupons",
    "sales",
)


def _hex(r: random.Random, size: int) -> str:
    return f"{r.getrandbits(size * 4):0{size}x}"


_VALUES: dict[str, Callable[[random.Random], str]] = {
    "n": lambda r: str(r.randint(0, 99_999)),
    "small": lambda r: str(r.randint(1, 9)),
    "f": lambda r: f"{r.uniform(0, 900):.3f}",
    "ip": lambda r: ".".join(str(r.randint(1, 254)) for _ in range(4)),
    "hex": lambda r: _hex(r, 12),
    "uuid": lambda r: "-".join(_hex(r, size) for size in (8, 4, 4, 4, 12)),
    "user": lambda r: r.choice(_USERS),
    "table": lambda r: r.choice(_TABLES),
    "path": lambda r: "/" + "/".join(r.sample(_TABLES, r.randint(1, 3))),
    "url": lambda r: f"https://{r.choice(_TABLES)}.example.com/{_hex(r, 6)}?page={r.randint(1, 9)}",
    "pod": lambda r: f"{r.choice(_TABLES)}-{_hex(r, 9)}-{_hex(r, 5)}",
    "node": lambda r: f"worker-{r.randint(1, 40)}.cluster.internal",
    "ms": lambda r: r.choice([f"{r.randint(1, 999)}ms", f"{r.uniform(1, 9):.2f}s", f"{r.uniform(1, 99):.1f}µs"]),
    "ids": lambda r: "[" + ", ".join(str(r.randint(1, 999)) for _ in range(r.randint(1, 6))) + "]",
    "agent": lambda r: r.choice(["curl/8.5.0", "Mozilla/5.0 (X11; Linux x86_64) Firefox/128.0", "kube-probe/1.30"]),
    "status": lambda r: r.choice(["200", "201", "304", "404", "500"]),
    "time": lambda r: (
        f"2026-03-{r.randint(1, 28):02}T{r.randint(0, 23):02}:{r.randint(0, 59):02}:07.{r.randint(0, 999):03}Z"
    ),
}

SHAPES: dict[str, tuple[str, ...]] = {
    "web server": (
        '{ip} - {user} [12/Mar/2026:10:{small}1:07 +0000] "GET {path} HTTP/1.1" {status} {n} "-" "{agent}"',
        '{ip} - - [12/Mar/2026:10:{small}1:07 +0000] "POST {path} HTTP/1.1" {status} {n} "{url}" "{agent}"',
        "*{n} connect() failed (111: Connection refused) while connecting to upstream, client: {ip}, server: _",
        "*{n} upstream timed out (110: Connection timed out) while reading response header from upstream, client: {ip}",
        "*{n} no live upstreams while connecting to upstream, client: {ip}",
        "*{n} client intended to send too large body: {n} bytes, client: {ip}",
        '*{n} open() "/srv/www{path}" failed (2: No such file or directory), client: {ip}',
        "worker process {n} exited on signal {small}",
        "signal process started",
    ),
    "database": (
        "connection received: host={ip} port={n}",
        "connection authorized: user={user} database={table} application_name=psql",
        'duplicate key value violates unique constraint "{table}_pkey"',
        'relation "{table}" does not exist at character {n}',
        "permission denied for table {table}",
        'password authentication failed for user "{user}"',
        "duration: {f} ms  statement: SELECT * FROM {table} WHERE id = {n}",
        "deadlock detected",
        "process {n} detected deadlock while waiting for ShareLock on transaction {n} after {f} ms",
        "checkpoint starting: time",
        "checkpoint complete: wrote {n} buffers ({f}%); 0 WAL file(s) added, {small} removed, 0 recycled; write={f} s",
        "could not receive data from client: Connection reset by peer",
        "remaining connection slots are reserved for roles with the SUPERUSER attribute",
    ),
    "orchestrator": (
        "Successfully assigned default/{pod} to {node}",
        'Container image "registry.example.com/{table}:v{small}.{n}" already present on machine',
        "Created container {table}",
        "Started container {table}",
        "Back-off restarting failed container {table} in pod {pod}_default({uuid})",
        "Liveness probe failed: HTTP probe failed with statuscode: {status}",
        'Readiness probe failed: Get "http://{ip}:8080/healthz": context deadline exceeded',
        "Scaled up replica set {table}-{hex} to {small}",
        "Scaled down replica set {table}-{hex} to {small}",
        "{small}/{n} nodes are available: {small} Insufficient cpu, {small} Insufficient memory.",
        "Node {node} status is now: NodeNotReady",
        'Error syncing pod {uuid}, skipping: failed to "StartContainer" for "{table}" with CrashLoopBackOff',
    ),
    "stack traces": (
        "java.lang.NullPointerException: Cannot invoke method on null",
        "java.net.SocketTimeoutException: Read timed out after {n} ms",
        "java.io.IOException: Connection reset by peer",
        "java.lang.OutOfMemoryError: Java heap space",
        "\tat com.example.{table}.Service.handle(Service.java:{n})",
        "\tat com.example.{table}.Repository.find(Repository.java:{n})",
        "\tat java.base/java.lang.Thread.run(Thread.java:{n})",
        "\t... {n} more",
        "Caused by: java.sql.SQLTransientConnectionException: pool - no connection available, timed out after {n}ms.",
        'Exception in thread "main" java.lang.IllegalStateException: order {n} is closed',
    ),
    "system": (
        "Started Session {n} of User {user}.",
        "Stopped Session {n} of User {user}.",
        "Out of memory: Killed process {n} ({table}) total-vm:{n}kB, anon-rss:{n}kB, file-rss:0kB",
        "{table}.service: Main process exited, code=exited, status={small}/FAILURE",
        "{table}.service: Failed with result 'exit-code'.",
        "{table}.service: Scheduled restart job, restart counter is at {n}.",
        "EXT4-fs (sda{small}): mounted filesystem with ordered data mode",
        "EXT4-fs error (device sda{small}): ext4_find_entry:{n}: inode #{n}: comm {table}: reading directory lblock 0",
        "eth0: link is down",
        "eth0: link is up, {n} Mbps, full duplex",
        "({user}) CMD (/usr/local/bin/{table} --all)",
        "DHCPREQUEST for {ip} from {small}2:00:0a:1b:2c:3d via eth0",
    ),
    "JSON": (
        '{{"ts":"{time}","level":"info","msg":"request completed","method":"GET","path":"{path}","status":{status}}}',
        '{{"ts":"{time}","level":"info","msg":"order placed","order_id":"{uuid}","user":"{user}","total":{f}}}',
        '{{"ts":"{time}","level":"error","msg":"payment declined","order_id":"{uuid}","reason":"insufficient funds"}}',
        '{{"ts":"{time}","level":"error","msg":"database connection lost","host":"{node}","attempt":{small}}}',
        '{{"ts":"{time}","level":"warn","msg":"slow query","table":"{table}","duration":"{ms}","rows":{n}}}',
        '{{"ts":"{time}","level":"warn","msg":"cache miss","keys":{ids}}}',
        '{{"ts":"{time}","level":"info","msg":"shutting down"}}',
    ),
    "logfmt": (
        'time={time} level=info msg="request handled" method=GET path={path} status={status} took={ms}',
        'time={time} level=info msg="user logged in" user={user} ip={ip}',
        'time={time} level=error msg="failed to connect to broker" err="dial tcp {ip}:{n}: connection refused"',
        'time={time} level=error msg="failed to connect to broker" err="dial tcp {ip}:{n}: i/o timeout"',
        'time={time} level=warn msg="retrying" attempt={small} backoff={ms} topic={table}',
        'time={time} level=info msg="compaction finished" blocks={ids} took={ms}',
        'time={time} level=warn msg="certificate expires soon" host={node} days={n}',
    ),
}
"""By shape, the statements; `{name}` is a value, braces are doubled."""


def lines(shape: str, seed: int = 7) -> tuple[list[str], list[int]]:
    """A thousand lines, few statements often and many seldom, and the statement of each."""
    r = random.Random(f"{shape}/{seed}")
    statements = SHAPES[shape]
    weights = [1 / rank for rank in r.sample(range(1, len(statements) + 1), len(statements))]
    chosen = r.choices(range(len(statements)), weights, k=LINES)
    return [_printed(statements[index], r) for index in chosen], chosen


def _printed(statement: str, r: random.Random) -> str:
    filled = _FIELD.sub(lambda found: _VALUES[found[1]](r), statement.replace("{{", "\x00").replace("}}", "\x01"))
    return filled.replace("\x00", "{").replace("\x01", "}")

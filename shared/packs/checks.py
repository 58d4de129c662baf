"""What a well-formed pack may still have wrong: names that name nothing, cycles, expressions that don't compile."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from urllib.parse import urlsplit

import cel
from pydantic import JsonValue

from shared.packs.component import Component
from shared.packs.model import Pack
from shared.packs.parameters import PARAMETER, ParameterType
from shared.packs.playbook import Condition, Playbook, Step
from shared.packs.problems import Finding, Place, suggestion
from shared.packs.promql import PromqlError, parse
from shared.packs.schedule import Schedule

PAGE = "page-a-human"
_REFERENCE = re.compile(r"\$\{([^}]*)\}")
_FIELDS = ("name", "kind", "group", "container", "config_path", "pid_file")
"""What `${component.…}` may name beside a component's attributes."""


def check(pack: Pack, components: Collection[str], playbooks: Collection[str]) -> list[Finding]:
    """Every finding of `pack`.

    `components` and `playbooks` are the names that its file has: more than `pack` has when ill-formed ones were left
    out, and then nothing is said of what depends on those.
    """
    findings = [
        *_names(pack, components),
        *_cycles(pack.components),
        *_patterns(pack),
        *_expressions(pack),
        *_hosts(pack),
        *_probe_names(pack),
        *_freezes(pack),
        *_rules(pack),
        *_notify(pack),
        *(f for name, playbook in pack.playbooks.items() for f in _escalation(name, playbook, playbooks)),
        *_ladders(pack.playbooks),
    ]
    if set(components) == set(pack.components):
        findings += _groups(pack)
        findings += (f for name, playbook in pack.playbooks.items() for f in _needs(name, playbook, pack))
        findings += (f for name, playbook in pack.playbooks.items() for f in _practice(name, playbook, pack))
        findings += _practice_targets(pack)
    return findings


def _names(pack: Pack, components: Collection[str]) -> Iterator[Finding]:
    named: list[tuple[Place, str]] = []
    for name, component in pack.components.items():
        named += [(("components", name, "calls", i), called) for i, called in enumerate(component.calls)]
        if component.providers is not None:
            ranked = ("components", name, "providers")
            named.append(((*ranked, "primary"), component.providers.primary))
            named += [((*ranked, "backups", i), backup) for i, backup in enumerate(component.providers.backups)]
    sections = ("probes", "rules", "ratios", "anomalies", "expects", "limits", "traffic", "signatures", "knobs")
    for section in (*sections, "maintenance"):
        named += [((section, i, "component"), item.component) for i, item in enumerate(getattr(pack, section))]
    for i, rule in enumerate(pack.notify.rules):
        named += [(("notify", "rules", i, "components", k), one) for k, one in enumerate(rule.components)]
    for name, playbook in pack.playbooks.items():
        named += [(("playbooks", name, "components", i), one) for i, one in enumerate(playbook.components)]
    for place, component_name in named:
        if component_name not in ("*", None) and component_name not in components:
            remedy = suggestion(component_name, components, "components: {0}")
            yield Finding(place, f"no component is named `{component_name}`", remedy)


def _cycles(components: Mapping[str, Component]) -> Iterator[Finding]:
    """Each cycle once, with its path: causes are searched along `calls`, which must come to an end."""
    done: set[str] = set()

    def walk(name: str, path: tuple[str, ...]) -> Iterator[Finding]:
        if name in path:
            cycle = (*path[path.index(name) :], name)
            place: Place = ("components", path[-1], "calls", components[path[-1]].calls.index(name))
            yield Finding(place, f"calls go round in a circle: {' → '.join(cycle)}", "leave out one of these calls")
        elif name in components and name not in done:
            for called in components[name].calls:
                yield from walk(called, (*path, name))
            done.add(name)

    for name in components:
        yield from walk(name, ())


def _patterns(pack: Pack) -> Iterator[Finding]:
    patterns: list[tuple[Place, str]] = [
        (("log_patterns", i, "match"), pattern.match) for i, pattern in enumerate(pack.log_patterns)
    ]
    for i, ratio in enumerate(pack.ratios):
        patterns += [(("ratios", i, "errors_match", label), match) for label, match in ratio.errors_match.items()]
    labelled: list[tuple[Place, dict[str, str]]] = [(("rules", i), rule.labels) for i, rule in enumerate(pack.rules)]
    labelled += [(("expects", i), expect.labels) for i, expect in enumerate(pack.expects)]
    for place, labels in labelled:
        patterns += [((*place, "labels", label), match) for label, match in labels.items()]
    for place, pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            at = f" at character {error.pos + 1}" if error.pos is not None else ""
            yield Finding(place, f"not a regular expression: {error.msg}{at}", "mend it, or escape special characters")
    yield from _twice(("log_patterns", "id"), [pattern.id for pattern in pack.log_patterns])
    yield from _twice(("signatures", "id"), [signature.id for signature in pack.signatures])


def _twice(key: tuple[str, str], ids: list[str]) -> Iterator[Finding]:
    section, name = key
    for i, one in enumerate(ids):
        if one in ids[:i]:
            yield Finding((section, i, name), f"`{one}` is the {name} of an earlier entry", "give each its own")


def _expressions(pack: Pack) -> Iterator[Finding]:
    expressions: list[tuple[Place, str | None]] = [
        (("signatures", i, "when"), signature.when) for i, signature in enumerate(pack.signatures)
    ]
    expressions += [(("playbooks", name, "when"), playbook.when) for name, playbook in pack.playbooks.items()]
    for name, playbook in pack.playbooks.items():
        for part in ("preconditions", "success_criteria"):
            conditions: tuple[Condition, ...] = getattr(playbook, part)
            expressions += [(("playbooks", name, part, i, "that"), one.that) for i, one in enumerate(conditions)]
    expressions += [(("knobs", i, "objective", "guard"), knob.objective.guard) for i, knob in enumerate(pack.knobs)]
    for place, expression in expressions:
        if expression is None:
            continue
        try:
            cel.compile(expression)
        except ValueError as error:
            found = re.search(r"<input>:\d+:(\d+): (.*)", str(error))
            reason = f"{found[2][:160]} (character {found[1]})" if found else str(error)[:200]
            remedy = "write it as in `errors.ratio > 0.2 && log.count > 3`"
            yield Finding(place, f"not a CEL expression: {reason}", remedy)


def _hosts(pack: Pack) -> Iterator[Finding]:
    urls: list[tuple[Place, str]] = []
    for i, probe in enumerate(pack.probes):
        if probe.http:
            urls.append((("probes", i, "http", "url"), probe.http.url))
        if probe.scrape:
            urls.append((("probes", i, "scrape", "url"), probe.scrape.url))
        if probe.promql:
            urls.append((("probes", i, "promql", "url"), probe.promql.url))
    for name, component in pack.components.items():
        if component.providers is not None and component.providers.route.http is not None:
            urls.append((("components", name, "providers", "route", "http", "url"), component.providers.route.http.url))
    urls += _channel_urls(pack)
    for name, playbook in pack.playbooks.items():
        for i, step in enumerate(playbook.steps):
            if step.http_call:
                urls.append((("playbooks", name, "steps", i, "http.call", "url"), step.http_call.url))
            if step.webhook_post:
                urls.append((("playbooks", name, "steps", i, "webhook.post", "url"), step.webhook_post.url))
    for place, url in urls:
        try:
            address = urlsplit(url)
            host = address.hostname
            usable = address.scheme in ("http", "https") and bool(host) and (address.port is None or address.port > 0)
        except ValueError:
            usable, host = False, None
        if not usable:
            yield Finding(place, f"{url!r} is not an address", "write http://host:port/path or https://…")
        elif host and "${" not in host and host not in pack.http_hosts:
            remedy = f"add `{host}` to http_hosts ({', '.join(pack.http_hosts) or 'empty'})"
            yield Finding(place, f"the host `{host}` is not one that this pack may call", remedy)


def _channel_urls(pack: Pack) -> Iterator[tuple[Place, str]]:
    for name, channel in pack.notify.channels.items():
        place: Place = ("notify", "channels", name, channel.kind)
        if channel.webhook:
            yield (*place, "url"), channel.webhook.url
        if channel.pagerduty:
            yield (*place, "url"), channel.pagerduty.url
        if channel.slack and channel.slack.token:
            yield (*place, "api_url"), channel.slack.api_url


def _notify(pack: Pack) -> Iterator[Finding]:
    used = {name for rule in pack.notify.rules for name in rule.channels}
    for i, rule in enumerate(pack.notify.rules):
        for k, name in enumerate(rule.channels):
            if name not in pack.notify.channels:
                place: Place = ("notify", "rules", i, "channels", k)
                remedy = suggestion(name, pack.notify.channels, "channels: {0}")
                yield Finding(place, f"no channel is named `{name}`", remedy)
    for playbook, spec in pack.playbooks.items():
        for i, step in enumerate(spec.steps):
            if step.notify_send is None:
                continue
            used.add(step.notify_send.channel)
            if step.notify_send.channel not in pack.notify.channels:
                place = ("playbooks", playbook, "steps", i, "notify.send", "channel")
                remedy = suggestion(step.notify_send.channel, pack.notify.channels, "channels: {0}")
                yield Finding(place, f"no channel is named `{step.notify_send.channel}`", remedy)
    for name in pack.notify.channels:
        if name not in used:
            place = ("notify", "channels", name)
            yield Finding(
                place, "nothing is ever told on this channel", "name it in one of `notify.rules`", at_key=True
            )


def _probe_names(pack: Pack) -> Iterator[Finding]:
    names: set[str] = set()
    for i, probe in enumerate(pack.probes):
        if probe.name in names:
            yield Finding(("probes", i), f"the same probe stands above ({probe.name})", "remove one of the two")
        names.add(probe.name)


def _groups(pack: Pack) -> Iterator[Finding]:
    groups = {component.group for component in pack.components.values() if component.group}
    for group in pack.policy.min_healthy:
        if group not in groups:
            place: Place = ("policy", "min_healthy", group)
            remedy = suggestion(group, groups, "groups: {0}")
            yield Finding(place, f"no component is in the group `{group}`", remedy, at_key=True)


def _freezes(pack: Pack) -> Iterator[Finding]:
    for name, windows in (("freeze", pack.policy.freeze), ("business_hours", pack.policy.business_hours)):
        for i, window in enumerate(windows):
            try:
                Schedule.parse(window)
            except ValueError as error:
                message, _, remedy = str(error).partition(": ")
                yield Finding(("policy", name, i), message, remedy)


def _rules(pack: Pack) -> Iterator[Finding]:
    for i, rule in enumerate(pack.rules):
        if rule.expr is not None:
            try:
                parse(rule.expr)
            except PromqlError as error:
                yield Finding(("rules", i, "expr"), str(error), "write it with what `pack import-rules` supports")
    groups = {component.group for component in pack.components.values() if component.group}
    for i, one in enumerate(pack.maintenance):
        if one.group is not None and one.group not in groups:
            remedy = suggestion(one.group, groups, "groups: {0}")
            yield Finding(("maintenance", i, "group"), f"no component is in the group `{one.group}`", remedy)
        try:
            Schedule.parse(one.when)
        except ValueError as error:
            message, _, remedy = str(error).partition(": ")
            yield Finding(("maintenance", i, "when"), message, remedy)


# ---- playbooks


def _escalation(name: str, playbook: Playbook, playbooks: Collection[str]) -> Iterator[Finding]:
    if playbook.then is not None and playbook.then != PAGE and playbook.then not in playbooks:
        remedy = suggestion(playbook.then, [*playbooks, PAGE], "write one of: {0}")
        yield Finding(("playbooks", name, "then"), f"no playbook is named `{playbook.then}`", remedy)
    if playbook.then == name:
        yield Finding(("playbooks", name, "then"), "the playbook follows itself", f"name another, or `{PAGE}`")


def _ladders(playbooks: Mapping[str, Playbook]) -> Iterator[Finding]:
    """Each ladder that leads back to itself, once: what follows a failure must come to an end."""
    told: set[str] = set()
    for name in playbooks:
        path = [name]
        following = playbooks[name].then
        while following is not None and following in playbooks and following not in path:
            path.append(following)
            following = playbooks[following].then
        if following is not None and following in path and following != path[-1] and not told & set(path):
            circle = [*path[path.index(following) :], following]
            told.update(circle)
            message = f"the ladder goes round in a circle: {' → '.join(circle)}"
            yield Finding(("playbooks", path[-1], "then"), message, f"end it with `{PAGE}`")


def _needs(name: str, playbook: Playbook, pack: Pack) -> Iterator[Finding]:
    for i, backup in enumerate(playbook.backup):
        yield from _references(("playbooks", name, "backup", i, "file"), [backup.file], playbook, pack)
    for i, step in enumerate(playbook.steps):
        place: Place = ("playbooks", name, "steps", i)
        yield from _free_texts((*place, step.actuator), step.model_dump(mode="json"), playbook)
        yield from _references((*place, step.actuator), _texts(step), playbook, pack)
        if step.actuator.startswith("process."):
            yield from _lacking((*place, step.actuator), "process", playbook, pack)
        if step.nats_request is not None:
            yield from _lacking((*place, step.actuator), "nats", playbook, pack)
        if step.actuator.startswith("routing."):
            yield from _lacking((*place, step.actuator), "providers", playbook, pack)


FREE = frozenset({"value", "body", "headers", "text", "message", "summary"})
"""Where a text may stand that whoever asks for a run writes freely."""


def _free_texts(place: Place, tree: JsonValue, playbook: Playbook) -> Iterator[Finding]:
    """Whoever may ask for a run must not thereby choose any file, host or statement."""
    if isinstance(tree, str):
        for name in PARAMETER.findall(tree):
            parameter = playbook.parameters.get(name)
            if parameter is not None and parameter.type is ParameterType.TEXT and not parameter.choices:
                message = f"the parameter `{name}` may be any text, and stands where it chooses what is acted on"
                yield Finding(place, message, f"give `{name}` its `choices`")
    elif isinstance(tree, dict):
        for key, inner in tree.items():
            if key not in FREE:
                yield from _free_texts(place, inner, playbook)
    elif isinstance(tree, list):
        for inner in tree:
            yield from _free_texts(place, inner, playbook)


def _practice(name: str, playbook: Playbook, pack: Pack) -> Iterator[Finding]:
    """A playbook is practised where nobody needs anything."""
    if playbook.practice is None:
        return
    place: Place = ("playbooks", name, "practice", "target")
    target = pack.components.get(playbook.practice.target)
    if target is None:
        remedy = suggestion(playbook.practice.target, pack.components, "components: {0}")
        yield Finding(place, f"no component is named `{playbook.practice.target}`", remedy)
    elif not target.practice:
        remedy = "practise on a component of its own, marked `practice: true`"
        yield Finding(place, f"`{playbook.practice.target}` is no practice target", remedy)


def _practice_targets(pack: Pack) -> Iterator[Finding]:
    """What is broken on purpose may be part of nothing."""
    called = {callee: name for name, component in pack.components.items() for callee in component.calls}
    for name, component in pack.components.items():
        if not component.practice:
            continue
        if component.group is not None:
            place: Place = ("components", name, "group")
            yield Finding(place, f"the practice target `{name}` counts as one of a group", "leave out `group`")
        if name in called:
            remedy = f"leave it out of the `calls` of {called[name]}, or don't practise on it"
            yield Finding(("components", name), f"the practice target `{name}` is called by `{called[name]}`", remedy)


def _texts(step: Step) -> list[str]:
    """All texts of a step, its defaults included."""

    def texts(value: object) -> Iterator[str]:
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            for inner in value.values():
                yield from texts(inner)

    return list(texts(step.model_dump()))


def _references(place: Place, texts: list[str], playbook: Playbook, pack: Pack) -> Iterator[Finding]:
    for reference in dict.fromkeys(found for text in texts for found in _REFERENCE.findall(text)):
        owner, _, field = reference.partition(".")
        if owner == "param" and field in playbook.parameters:
            continue
        if owner == "param":
            remedy = suggestion(field, playbook.parameters, "parameters: {0}")
            yield Finding(place, f"the playbook has no parameter `{field}`", remedy)
        elif owner != "component" or not field:
            remedy = "write ${var.<name>} or ${component.<name>}; a secret is named where a `dsn` asks for one"
            yield Finding(place, f"${{{reference}}} refers to nothing", remedy)
        else:
            yield from _lacking(place, field, playbook, pack)


def _lacking(place: Place, field: str, playbook: Playbook, pack: Pack) -> Iterator[Finding]:
    """A playbook needs `field` of each component it names; of at least one, when it is for any."""
    candidates = playbook.components or tuple(pack.components)
    known = {name: pack.components[name] for name in candidates if name in pack.components}
    lacking = [name for name, component in known.items() if not _has(component, field)]
    if not lacking or (not playbook.components and len(lacking) < len(known)):
        return
    who = f"`{lacking[0]}`" if playbook.components else "any component"
    message = f"needs `{field}`, which {who} does not have"
    where = f"components.{lacking[0]}" if playbook.components else "a component"
    own = (*_FIELDS, "process", "nats", "providers")
    nested = "process" if field == "pid_file" else field if field in own else f"attributes.{field}"
    yield Finding(place, message, f"add `{nested}` to {where}, or narrow the playbook's `components`")


def _has(component: Component, field: str) -> bool:
    if field == "name" or field in component.attributes:
        return True
    if field in ("process", "pid_file"):
        return component.process is not None
    if field == "nats":
        return component.nats is not None
    if field == "providers":
        return component.providers is not None
    return field in _FIELDS and getattr(component, field) is not None

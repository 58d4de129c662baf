"""A pack is accepted whole, or refused with every mistake at its line and a remedy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.packs import Pack, parse_quantity
from shared.packs.load import load_pack, pack_schema, parse_pack
from shared.packs.problems import PackError, Problem
from shared.packs.source import MAX_BYTES, MAX_VALUES

PACKS = Path(__file__).parents[3] / "packs"
GOOD = """\
pack: shop
components:
  edge: {calls: [payments], group: web}
  payments: {config_path: /etc/payments.toml, process: {command: [payments], pid_file: /run/payments.pid}}
"""


def problems(text: str, **variables: str) -> list[Problem]:
    with pytest.raises(PackError) as caught:
        parse_pack(text, variables)
    return list(caught.value.problems)


def problems_of(text: str) -> list[Problem]:
    """Empty when the pack is good; any other exception is a failure of the test."""
    try:
        parse_pack(text)
    except PackError as error:
        return list(error.problems)
    return []


def only(text: str) -> Problem:
    found = problems(text)
    assert len(found) == 1, found
    return found[0]


def test_a_good_pack_is_loaded_with_the_product_s_defaults() -> None:
    pack = parse_pack(GOOD)
    assert pack.pack == "shop"
    assert pack.mode == "observe"
    assert pack.policy.confidence == 0.85
    assert pack.components["edge"].calls == ("payments",)


@pytest.mark.parametrize("name", sorted(path.name for path in PACKS.glob("*.yaml")))
def test_every_pack_of_the_project_is_good_and_survives_the_wire(name: str) -> None:
    pack = load_pack(PACKS / name)
    assert Pack.model_validate_json(pack.model_dump_json(by_alias=True, exclude_none=True)) == pack


def test_json_is_a_pack_too() -> None:
    assert parse_pack(json.dumps({"pack": "a", "components": {"x": {}}})).pack == "a"


@pytest.mark.parametrize(
    ("added", "line", "column", "where", "says"),
    [
        ("mdoe: auto", 5, 1, "mdoe", "did you mean `mode`?"),
        ("mode: full", 5, 7, "mode", "assist, auto, observe"),
        ("pack: twice", 5, 1, "pack", "written twice"),
        ("probes: [{component: edgy, tcp: {port: 1}}]", 5, 22, "probes[0].component", "did you mean `edge`?"),
        ("rules: [{component: edgy, metric: m, above: 1}]", 5, 21, "rules[0].component", "components: edge, payments"),
        ("rules: [{metric: m}]", 5, 9, "rules[0]", "exactly one of `above` or `below`"),
        ("limits: [{component: x, metric: m, limit: 1}]", 5, 22, "limits[0].component", "no component is named `x`"),
        ("limits: [{component: edge, metric: m, limit: 4Zi}]", 5, 46, "limits[0].limit", "400Mi"),
        ("probes: [{component: edge, every_s: 0, tcp: {port: 1}}]", 5, 37, "probes[0].every_s", "greater than 0"),
        ("probes: [{component: edge, tcp: {}}]", 5, 33, "probes[0].tcp.port", "`port` is missing"),
        ("probes: [{component: edge}]", 5, 10, "probes[0]", "exactly one of http, tcp"),
        ('probes: [{component: edge, http: {url: "http://a.b/"}}]', 5, 40, "probes[0].http.url", "add `a.b` to http_hosts"),  # noqa: E501
        ('probes: [{component: edge, http: {url: "file:///x"}}]', 5, 40, "probes[0].http.url", "not an address"),
        ('log_patterns: [{id: a, match: "(x"}]', 5, 31, "log_patterns[0].match", "unterminated subpattern"),
        ('signatures: [{id: a, when: "a &&", cause: crash}]', 5, 28, "signatures[0].when", "not a CEL expression"),
        ('signatures: [{id: a, when: "a", cause: crsh}]', 5, 40, "signatures[0].cause", "did you mean `crash`?"),
        ("policy: {freeze: [Fri 16-Mon 8]}", 5, 19, "policy.freeze[0]", "Fri 16:00/Mon 08:00"),
        ("policy: {min_healthy: {wbe: 0.5}}", 5, 24, "policy.min_healthy.wbe", "did you mean `web`?"),
        ("playbooks: {a: {for: [crash], steps: []}}", 5, 38, "playbooks.a.steps", "at least 1"),
        ("playbooks: {a: {for: [crash], steps: [{process.start: {}}], then: b}}", 5, 67, "playbooks.a.then", "page-a-human"),  # noqa: E501
        ("playbooks: {a: {for: [crash], steps: [{process.start: {}}], then: a}}", 5, 67, "playbooks.a.then", "itself"),
        ("playbooks: {a: {for: [crash], steps: [{prcess.start: {}}]}}", 5, 40, "playbooks.a.steps[0].prcess.start", "did you mean `process.start`?"),  # noqa: E501
        ("playbooks: {a: {for: [crash], components: [edge], steps: [{process.start: {}}]}}", 5, 75, "playbooks.a.steps[0].process.start", "needs `process`, which `edge` does not have"),  # noqa: E501
        ("playbooks: {a: {for: [crash], components: [edge], steps: [{file.restore_last_good: {path: '${component.config_path}'}}]}}", 5, 84, "playbooks.a.steps[0].file.restore_last_good", "needs `config_path`"),  # noqa: E501
        ("playbooks: {a: {for: [crash], steps: [{docker.restart: {}}]}}", 5, 56, "playbooks.a.steps[0].docker.restart", "needs `container`"),  # noqa: E501
        ("playbooks: {a: {for: [crash], steps: [{file.restore_last_good: {path: '${env.HOME}/x'}}]}}", 5, 64, "playbooks.a.steps[0].file.restore_last_good", "refers to nothing"),  # noqa: E501
    ],
)  # fmt: skip
def test_a_mistake_is_named_at_its_place_with_a_remedy(
    added: str, line: int, column: int, where: str, says: str
) -> None:
    problem = only(GOOD + added + "\n")
    assert (problem.line, problem.column, problem.where) == (line, column, where)
    assert says in f"{problem.message}: {problem.remedy}"


def test_a_cycle_of_calls_is_named_with_its_path() -> None:
    problem = only("pack: a\ncomponents:\n  x: {calls: [y]}\n  y: {calls: [z]}\n  z: {calls: [y]}\n")
    assert "y → z → y" in problem.message
    assert problem.line == 5


def test_all_mistakes_are_told_at_once_whatever_their_kind() -> None:
    found = problems(
        GOOD
        + "mdoe: auto\n"
        + "rules: [{component: edge, metric: m, above: high}, {component: nobody, metric: m, above: 1}]\n"
        + "playbooks: {a: {for: [crash], steps: [{process.start: {}}], then: nothing, extra: 1}}\n"
    )
    assert [problem.where for problem in found] == [
        "mdoe",
        "rules[0].above",
        "rules[1].component",
        "playbooks.a.then",
        "playbooks.a.extra",
    ]


def test_an_ill_formed_component_is_still_known_to_those_that_name_it() -> None:
    problem = only("pack: a\ncomponents: {x: {kind: [1]}, y: {calls: [x]}}\npolicy: {min_healthy: {web: 1}}\n")
    assert problem.where == "components.x.kind"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [1, 2", "not YAML"),
        ("- a\n- b\n", "mapping of keys"),
        ("", "mapping of keys"),
        ("[" * 5_000, "nested deeper"),
        ("pack: a\n" + "#" * MAX_BYTES, "larger than"),
        ("a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(f"{n}: &{n} [{', '.join([f'*{p}'] * 10)}]\n" for p, n in zip("abcde", "bcdef", strict=True)), f"more than {MAX_VALUES} values"),  # noqa: E501
        ("a: !!python/object:os.system x\n", "missing"),
        ("\x00", "not YAML"),
    ],
)  # fmt: skip
def test_what_is_no_pack_at_all_is_refused_in_one_sentence(text: str, says: str) -> None:
    assert says in str(problems(text)[0])


def test_a_missing_file_is_a_problem_not_a_traceback(tmp_path: Path) -> None:
    with pytest.raises(PackError, match="can't be read"):
        load_pack(tmp_path / "none.yaml")


def test_problems_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(GOOD + "mode: 7\n")
    with pytest.raises(PackError) as caught:
        load_pack(path)
    assert str(caught.value).startswith(f"{path}:5:7: mode:")


def test_merged_keys_are_taken_over_and_own_keys_win() -> None:
    pack = parse_pack(
        "pack: a\ncomponents:\n  x: &x {kind: one, group: web}\n  y: {<<: *x, kind: two}\n", file="p.yaml"
    )
    assert (pack.components["y"].kind, pack.components["y"].group) == ("two", "web")


class TestVariables:
    TEXT = (
        "pack: a\nvariables: {host: 127.0.0.1, port: 80, url: 'http://${var.host}:${var.port}', on: true, need: null}\n"
        "components: {x: {kind: '${var.need}'}}\n"
        "probes: [{component: x, tcp: {port: '${var.port}'}}, {component: x, http: {url: '${var.url}/a'}}]\n"
    )

    def test_defaults_fill_in_and_keep_their_type(self) -> None:
        pack = parse_pack(self.TEXT, {"need": "web"})
        assert pack.probes[0].tcp is not None
        assert pack.probes[0].tcp.port == 80
        assert pack.probes[1].http is not None
        assert pack.probes[1].http.url == "http://127.0.0.1:80/a"

    def test_given_values_come_first_and_are_kept_in_the_pack(self) -> None:
        pack = parse_pack(self.TEXT, {"need": "web", "port": "81"})
        assert pack.variables["url"] == "http://127.0.0.1:81"
        assert pack.variables["port"] == 81

    def test_a_variable_without_value_must_be_given(self) -> None:
        assert "--set need=" in problems(self.TEXT)[0].remedy

    def test_a_value_of_another_type_is_refused(self) -> None:
        assert "a number" in problems(self.TEXT, need="x", port="eighty")[0].remedy

    def test_an_undeclared_variable_can_be_neither_set_nor_used(self) -> None:
        assert "did you mean `port`?" in problems(self.TEXT, need="x", prot="1")[0].remedy
        problem = problems(self.TEXT.replace("kind: '${var.need}'", "kind: '${var.ned}'"), need="x")[0]
        assert (problem.line, problem.where) == (3, "components.x.kind")

    def test_the_environment_is_never_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SECRET", "hunter2")
        pack = parse_pack("pack: a\ncomponents: {x: {attributes: {a: '${env.SECRET}'}}}\n")
        assert "hunter2" not in pack.model_dump_json()


@given(st.text(max_size=200))
def test_no_text_makes_the_loader_fail_otherwise_than_with_problems(text: str) -> None:
    for candidate in (text, f"pack: {text}\ncomponents: {{x: {text}}}"):
        assert all(problem.message and problem.remedy for problem in problems_of(candidate))


YAMLISH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["component", "http", "url", "calls", "steps", "for", "x", "process.start"]), inner, max_size=3),  # noqa: E501
    max_leaves=10,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(sorted(Pack.model_fields)), YAMLISH, max_size=5))
def test_no_shape_makes_the_loader_fail_otherwise_than_with_problems(data: dict[str, object]) -> None:
    assert problems_of(json.dumps(data)) or {"pack", "components"} <= data.keys()


def test_the_schema_describes_what_the_loader_accepts() -> None:
    schema = pack_schema()
    text = json.dumps(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert "file.restore_last_good" in text
    assert '"for"' in text
    assert "var" in json.dumps(schema["$defs"]["TcpProbe"])  # type: ignore[index, call-overload]


@pytest.mark.parametrize(("text", "value"), [("400Mi", 419430400.0), ("1.5G", 1.5e9), (3, 3.0), ("2KiB", 2048.0)])
def test_quantities(text: str | float, value: float) -> None:
    assert parse_quantity(text) == value

"""The commands of `homeostat`, gathered."""

from __future__ import annotations

import typer

from services.cli import (
    act,
    agents,
    audit,
    backups,
    decide,
    describe,
    diagnosis,
    doctor,
    governor,
    knowledge,
    logs,
    measure,
    notify,
    observe,
    operate,
    packs,
    playbooks,
    practice,
    record,
    silences,
    trust,
)

app = typer.Typer(
    name="homeostat",
    help="Keeps running systems healthy: detects, diagnoses, decides, heals, predicts, tunes and learns.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command()(operate.up)
app.command()(operate.demo)
app.command()(observe.status)
app.command()(observe.incidents)
app.command()(observe.trace)
app.command()(observe.decisions)
app.command()(diagnosis.report)
app.command()(observe.events)
app.command()(decide.verify)
app.command()(decide.calibration)
app.command()(decide.simulate)
app.command()(trust.explain)
app.command()(trust.override)
app.command()(trust.credit)
app.command()(trust.accuracy)
app.command()(trust.strategies)
app.command()(logs.logs)
app.command()(record.record)
app.command()(act.approve)
app.command()(act.reject)
app.command()(act.heal)
app.command()(act.backups)
app.command()(act.rollback)
app.command()(practice.practice)
app.command()(agents.agents)
app.command()(governor.governor)
app.command("stop-acting")(governor.stop_acting)
app.command("resume-acting")(governor.resume_acting)
app.command()(doctor.doctor)
app.add_typer(packs.pack, name="pack")
app.add_typer(backups.backup, name="backup")
app.add_typer(playbooks.playbook, name="playbook")
app.add_typer(silences.silence, name="silence")
app.add_typer(notify.notify, name="notify")
app.add_typer(knowledge.knowledge, name="knowledge")
app.add_typer(act.dlq, name="dlq")
app.add_typer(diagnosis.diagnosis, name="diagnosis")
app.add_typer(act.token, name="token")
app.add_typer(audit.audit, name="audit")
app.add_typer(trust.autonomy, name="autonomy")
app.add_typer(trust.model, name="model")
app.command()(operate.serve)
app.command()(agents.agent)
app.command()(operate.migrate)
app.command()(measure.bench)
app.command()(describe.contracts)

"""A report of a validation as one page that needs nothing else: for an auditor to keep. Pure."""

from __future__ import annotations

from hashlib import sha256
from html import escape
from typing import Any

import msgspec

from symphainy_cli.replay_output import time

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60em; margin: 2em auto; color: #222; }
table { border-collapse: collapse; width: 100%; }
td, th { border-bottom: 1px solid #ddd; padding: .3em .6em; text-align: left; vertical-align: top; }
code, pre { font: 13px/1.4 ui-monospace, monospace; overflow-wrap: anywhere; }
.passed { color: #17692b; } .failed { color: #b3121d; } .unknown { color: #8a5a00; }
"""


def page(report: dict[str, Any]) -> str:
    """The report for people, with the whole of it as JSON below, and that JSON's SHA-256."""
    text = msgspec.json.format(msgspec.json.encode(report), indent=2)
    verdict = "In order" if report["valid"] else "Not in order"
    standing = "passed" if report["valid"] else "failed"
    more = "" if report["complete"] else ", as far as it can be told"
    journal = report["journal"]
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Validation of {escape(report["execution_id"])}</title>
<style>{_STYLE}</style>
<h1>Validation of an execution</h1>
<p class="{standing}"><strong>{verdict}{more}.</strong></p>
<table>
<tr><th>Execution</th><td><code>{escape(report["execution_id"])}</code></td></tr>
<tr><th>Session</th><td><code>{escape(report["session_id"])}</code></td></tr>
<tr><th>Tenant</th><td>{escape(report["tenant_id"])}</td></tr>
<tr><th>Journal</th><td>partition {journal["partition"]}, offsets {journal["first_offset"]} to
{journal["last_offset"]}</td></tr>
<tr><th>Made</th><td>{time(report["made_at"])}</td></tr>
</table>
<h2>Checks</h2>
<table>
<tr><th>Check</th><th></th><th>What was looked at, and found</th></tr>
{"".join(map(_check, report["checks"]))}</table>
<h2>Records</h2>
<table>
<tr><th>Offset</th><th>Journaled at</th><th>SHA-256 of the stored bytes</th></tr>
{"".join(map(_record, journal["records"]))}</table>
<h2>The report as JSON</h2>
<p>SHA-256 of it: <code>{sha256(text).hexdigest()}</code></p>
<pre>{escape(text.decode())}</pre>
</html>
"""


def _check(one: dict[str, Any]) -> str:
    standing = one["standing"]
    found = "".join(
        f'<br><span class="{kind}">{escape(told)}</span>'
        for kind, name in (("failed", "faults"), ("unknown", "unknown"))
        for told in one[name]
    )
    return (
        f'<tr><td>{escape(one["name"])}</td><td class="{standing}">{standing}</td>'
        f"<td>{escape(one['looked_at'])}{found}</td></tr>\n"
    )


def _record(one: dict[str, Any]) -> str:
    return (
        f"<tr><td>{one['offset']}</td><td>{time(one['at'])}</td>"
        f"<td><code>{one['sha256']}</code></td></tr>\n"
    )

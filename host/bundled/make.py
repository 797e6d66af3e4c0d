#!/usr/bin/env python3
"""Makes the bundled lists of this folder, and tests/data/names.tsv, from a folder of training data.

    pip install tldextract zstandard
    python3 host/bundled/make.py DATA

DATA holds `malicious-train.tsv.gz` (name, source[/family], category) and `benign-train-meta.tsv.gz` (name, rank,
source, clean/single). Only sources in SOURCES are taken: their licences allow shipping. The same data gives the same
files, byte for byte; ATTRIBUTION.md is written beside them.
"""

import collections
import gzip
import pathlib
import sys
import zlib

import tldextract
import zstandard

# tag: (repository, commit, date of the data, SPDX licence)
SOURCES = {
    "blocklistproject": ("blocklistproject/Lists", "ee3bdbad", "2026-07-06", "Unlicense"),
    "shadowwhisperer": ("ShadowWhisperer/BlockLists", "2d65ab57", "2026-08-22", "Unlicense"),
    "maltrail": ("stamparm/maltrail", "e24411ed", "2026-03-01", "MIT"),
    "polkadot-phishing": ("polkadot-js/phishing", "f35b682c", "2025-08", "Apache-2.0"),
    "globalantiscam": ("elliotwutingfeng/GlobalAntiScamOrg-blocklist", "2013916d", "2026-03-09", "BSD-3-Clause"),
    "umbrella100k-2025": ("cjbarker/top-domains", "a93eff1c", "2025-09-26", "Apache-2.0"),
    "umbrella20k-2024-2026": ("MISP/misp-warninglists", "84f0610a", "2024-12 to 2026-08", "CC0-1.0"),
    "hageziTop-2023": ("hagezi/dns-data-collection", "eeec08bf", "2023-01-12", "MIT"),
    "chinalist-2026": ("felixonmars/dnsmasq-china-list", "29de573c", "2026-08-02", "WTFPL"),
}
BLOCK = {"blocklistproject", "shadowwhisperer", "polkadot-phishing", "globalantiscam"}
UMBRELLA = {"umbrella100k-2025", "umbrella20k-2024-2026"}
SAMPLE_EACH = 400
BUDGET_BYTES = 3_000_000

HERE = pathlib.Path(__file__).resolve().parent
REPO = HERE.parent.parent
extract = tldextract.TLDExtract(suffix_list_urls=(), include_psl_private_domains=True, cache_dir=None)


def rows(path):
    with gzip.open(path, "rt", encoding="ascii") as lines:
        for line in lines:
            yield line.rstrip("\n").split("\t")


def registrable(name):
    parts = extract(name)
    return f"{parts.domain}.{parts.suffix}" if parts.domain and parts.suffix else None


def write(name, lines):
    text = "".join(f"{line}\n" for line in lines).encode()
    packed = zstandard.ZstdCompressor(level=19, write_content_size=True).compress(text)
    (HERE / name).write_bytes(packed)
    return len(packed)


def main(data):
    block, sample = collections.defaultdict(set), collections.defaultdict(list)
    for name, source, category in rows(data / "malicious-train.tsv.gz"):
        tag = source.split("/")[0]
        if tag not in SOURCES:
            continue
        sample["malicious", tag].append(name)
        if tag in BLOCK or (tag == "maltrail" and category == "c2"):
            block[tag].add(name)

    umbrella, confirmed, ranks = collections.defaultdict(set), collections.defaultdict(set), {}
    for name, rank, source, seen in rows(data / "benign-train-meta.tsv.gz"):
        if source not in SOURCES:
            continue
        sample["benign", source].append(name)
        domain = registrable(name)
        if domain is None:
            continue
        if source in UMBRELLA:
            umbrella[source].add(domain)
        # "clean": the data's maker found the registrable domain in two or more independent lists.
        if source == "hageziTop-2023" or (source in UMBRELLA and seen == "clean"):
            confirmed[source].add(domain)
        if source in UMBRELLA and seen == "clean" and rank:
            ranks[domain] = min(int(rank), ranks.get(domain, 1 << 30))

    everything = lambda held: sorted(set().union(*held.values()))
    brands = sorted(ranks, key=lambda domain: (ranks[domain], domain))
    sizes = {
        "blocklist.txt.zst": write("blocklist.txt.zst", everything(block)),
        "popular-umbrella.txt.zst": write("popular-umbrella.txt.zst", everything(umbrella)),
        "popular-toplists.txt.zst": write("popular-toplists.txt.zst", everything(confirmed)),
        "brands.txt.zst": write("brands.txt.zst", brands),
    }
    assert sum(sizes.values()) <= BUDGET_BYTES, sizes

    lines = []
    for (label, tag), names in sorted(sample.items()):
        chosen = sorted(set(names), key=lambda name: (zlib.crc32(name.encode()), name))[:SAMPLE_EACH]
        lines += [f"{name}\t{label}\t{tag}\n" for name in sorted(chosen)]
    (REPO / "tests/data").mkdir(parents=True, exist_ok=True)
    (REPO / "tests/data/names.tsv").write_text("".join(lines), encoding="ascii")

    (HERE / "ATTRIBUTION.md").write_text(attribution(sizes, block, umbrella, confirmed, len(brands), len(lines)))
    print("\n".join(f"{name}: {size} bytes" for name, size in sizes.items()))
    print(f"in all {sum(sizes.values())} bytes")


def attribution(sizes, block, umbrella, confirmed, brands, sample):
    def table(held):
        head = "| source | commit | date of the data | licence | names |\n|---|---|---|---|---|\n"
        line = lambda tag: f"| [{SOURCES[tag][0]}](https://github.com/{SOURCES[tag][0]}) | {SOURCES[tag][1]} " \
            f"| {SOURCES[tag][2]} | {SOURCES[tag][3]} | {len(held[tag]):,} |\n"
        return head + "".join(line(tag) for tag in sorted(held))

    total = lambda held: f"{len(set().union(*held.values())):,}"
    return f"""# Bundled lists: where they come from

Made by `make.py` here; do not edit by hand. {sum(sizes.values()):,} bytes compressed in all. Names are other people's
findings: a listing says that a source listed the name on its date, nothing more. Registrable domains that stand in a
source of popular names too were left out of the blocklist when the data was gathered.

## blocklist.txt.zst: {total(block)} names, {sizes["blocklist.txt.zst"]:,} bytes
Phishing, scam, malware and command-and-control names; covers what is below each.

{table(block)}
## popular-umbrella.txt.zst: {total(umbrella)} registrable domains, {sizes["popular-umbrella.txt.zst"]:,} bytes
Registrable domains of names that Cisco Umbrella's resolvers are asked for most.

{table(umbrella)}
## popular-toplists.txt.zst: {total(confirmed)} registrable domains, {sizes["popular-toplists.txt.zst"]:,} bytes
Registrable domains of a union of top lists, and those of Umbrella's that the data marks as standing in two or more
independent lists.

{table(confirmed)}
## brands.txt.zst: {brands:,} registrable domains, {sizes["brands.txt.zst"]:,} bytes
What the look-alike rule protects: the confirmed ones that umbrella100k-2025 ranks, most popular first.

## tests/data/names.tsv: {sample:,} names
A sample for tests, `name<TAB>benign|malicious<TAB>source`: at most {SAMPLE_EACH} of each source, also of sources and
categories that the lists above leave out (chinalist-2026: {SOURCES["chinalist-2026"][0]}, {SOURCES["chinalist-2026"][1]},
{SOURCES["chinalist-2026"][3]}; all of maltrail).

## Licences
MIT, BSD-3-Clause and Apache-2.0 sources ask that their notices be kept; their full texts lie in the repositories named
above, at the commits named:
Copyright (c) 2014-present Maltrail developers (MIT); Copyright (c) 2022-2023 Gerd Z. (hagezi, MIT);
Copyright (c) 2022, Wu Tingfeng (GlobalAntiScamOrg-blocklist, BSD-3-Clause); Copyright 2018 CJ Barker
(top-domains, Apache-2.0); polkadot-js authors and contributors (phishing, Apache-2.0).
"""


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]))

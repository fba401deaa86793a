"""SHA-256 of uncompressed corpus files, by path below the data root: pinned here, or recorded at the first download."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock

from polyhead.core.errors import DownloadError, StoreError
from polyhead.core.files import write_text_atomic

LEDGER = "polyhead-data.json"
_SCHEMA = 1


@dataclass(frozen=True)
class Entry:
    """The ledger's entry for one fetched file.

    Attributes:
        url: Its URL; for a file from an archive, the archive's.
        sha256: Hash of its bytes.
        licence: As its source states it.
    """

    url: str
    sha256: str
    licence: str


def read_ledger(root: Path) -> dict[str, Entry]:
    """Entries by path below `root`; empty if there is no ledger yet.

    Raises:
        DownloadError: The ledger cannot be read.
    """
    path = root / LEDGER
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["schema"] != _SCHEMA:
            raise ValueError(f"schema {document['schema']!r}")
        entries = {name: Entry(**fields) for name, fields in document["files"].items()}
        if not all(type(value) is str for entry in entries.values() for value in asdict(entry).values()):
            raise ValueError("a value that is not a string")
        return entries
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        expected = f'one JSON object with "schema": {_SCHEMA} and "files"; repair it, or move it away to start again'
        raise DownloadError(f"{path}: not a record of fetched files ({error}); expected {expected}") from None


def add_entries(root: Path, entries: Mapping[str, Entry]) -> None:
    """Read, extend and replace the ledger, under a lock.

    Raises:
        DownloadError: The ledger cannot be read or written, or another process recorded another hash of the same file.
    """
    try:
        with FileLock(root / f".{LEDGER}.lock"):
            found = read_ledger(root)
            for path, entry in entries.items():
                if path in found and found[path].sha256 != entry.sha256:
                    raise DownloadError(f"{root / path}: another process fetched other bytes; move it away and fetch it again")
            files = {path: asdict(entry) for path, entry in sorted((found | dict(entries)).items())}
            text = json.dumps({"schema": _SCHEMA, "files": files}, indent=1, ensure_ascii=False) + "\n"
            write_text_atomic(root / LEDGER, text)
    except (OSError, StoreError) as error:
        raise DownloadError(f"{root / LEDGER}: cannot be written ({error})") from error


PINNED: dict[str, str] = {
    "ner/amh_MasakhaNER/dev.txt": "f7561345b55d41ccf472c1306e0a0a8f8bc3d46ac535f5dee3d1da3f1a0bb816",
    "ner/amh_MasakhaNER/test.txt": "3968ef19c31c480859364f927ac6370ae5c33c9557437e87c0b6f7801df461b6",
    "ner/amh_MasakhaNER/train.txt": "44d6e06d6bedd2b902578ae658fc3ad6548b8876166a821893d081393a92afe4",
    "ner/da_UNER-DDT/LICENSE.txt": "df653272772ee86b0098bfc640b0ab583f6ecf59bb6254b82feaba3aed3ed93c",
    "ner/da_UNER-DDT/da_ddt-ud-dev.iob2": "3049c10b8523323de5eea5552213f09ef906656775dd8ecaafd95debc5697a0a",
    "ner/da_UNER-DDT/da_ddt-ud-test.iob2": "de86e081dccbc58dbab96c22e53b0d42bdfdd074031bf0d5e7569754efd53269",
    "ner/da_UNER-DDT/da_ddt-ud-train.iob2": "a24064c7d27d22b0a7d7baf9035918aac6f120774ef0cd7ef5b00e77e7f8c330",
    "ner/de_GermEval2014/NER-de-dev.tsv": "d69d1347847e3ac0d1bfd14d7e5c0713dcb82899624301ced6df807dbb070056",
    "ner/de_GermEval2014/NER-de-test.tsv": "9405e49532379f3aee048851d116b35823d31c04e9521b87a9c4e6572c269097",
    "ner/de_UNER-PUD/LICENSE.txt": "b278eb53fe50b8bb7fa0d90fb8536c35fdcaa80f9d63812cb51db539555d2a89",
    "ner/de_UNER-PUD/de_pud-ud-test.iob2": "352c09251cf1c376d2786261813041c976c1aa7ce9bcf78388a4342a30bd00d4",
    "ner/de_WikiNEuRal/test.conllu": "b1c57d8825bee42c707f0f804b41557ffc475f031ce5a0f25cd13c5a1604bf0d",
    "ner/de_WikiNEuRal/val.conllu": "061e57750c6a93d95f43bb85d9010cfdcb64c1e1c7dcac76ee7a9bddf0dfc3ab",
    "ner/en_UNER-EWT/LICENSE.txt": "b3d1b0f4c6ae151f7eb78738f46ebd5ee140f8a7f76501ba26af123140d35ae7",
    "ner/en_UNER-EWT/en_ewt-ud-dev.iob2": "0cafd881cf31d39897b6d588420fab8fbbe4423d271725c59921ac9dd49c0713",
    "ner/en_UNER-EWT/en_ewt-ud-test.iob2": "821ad826d5f503ac03b4edc3fbc2174f21fbb005ec25863caf2051c434616d6e",
    "ner/en_UNER-PUD/LICENSE.txt": "b278eb53fe50b8bb7fa0d90fb8536c35fdcaa80f9d63812cb51db539555d2a89",
    "ner/en_UNER-PUD/en_pud-ud-test.iob2": "71fc0e18011e930f9a1a2fb68089d732eb2035a5840677d300626c8a1dedd2fb",
    "ner/en_WikiNEuRal/test.conllu": "088187d12574de9120f31fce908ce3c626b349b6b93f20886d5351b936ed0849",
    "ner/en_WikiNEuRal/val.conllu": "d5c2bbcbfd7092ab46057befabe071ee8c68b5b3a0623ca319874c019b6d560d",
    "ner/es_WikiNEuRal/test.conllu": "370421c9c8a81fce30722fd576140f2f8b16ff78511135f06a3da64bae0d1480",
    "ner/es_WikiNEuRal/val.conllu": "d4c67b9687df3069b1e9e889e685b8e87387602bced81e6ac3b160d2b9ba8513",
    "ner/hau_MasakhaNER/dev.txt": "a4695528b190c629f417e66feda127650611ee8d0f0d0ce14dee8f1506da0f7f",
    "ner/hau_MasakhaNER/test.txt": "1f636716cb1633490bc475951721d81a637b033045123f3ee84fee2a1ea06c70",
    "ner/hau_MasakhaNER/train.txt": "f09523f77aacc7d89e935ce8fdd0d7d6afb7ba06e4a6040a431f295b0b937939",
    "ner/ibo_MasakhaNER/dev.txt": "059e81794392a659efd65218ae988ff4ae680cd5beceae84caa5a8658767e8ee",
    "ner/ibo_MasakhaNER/test.txt": "ecfc765813ac82b5807e3cf00e26020ec971e5ebd93c71e172c7f48df427d818",
    "ner/ibo_MasakhaNER/train.txt": "9731a5268749b43c5f1c7ac1f420aa7b856cbe2a0002b14dd1d2f809257612bb",
    "ner/ja_Stockmark/LICENSE.md": "b44ffb158ce6da575a799b4c5b8bfc4002bba2ecf9fc99b6bbeb9146a00df1e3",
    "ner/ja_Stockmark/ner.json": "5796effb85c473aec5b85784545349ed42e408bb0fecdb78f82bc107d53edbe3",
    "ner/kin_MasakhaNER/dev.txt": "2adff8ef6a84927a9ebf68760feaffba8ff4d220fde89d6da88e084287c6cae9",
    "ner/kin_MasakhaNER/test.txt": "d49c012b50ef2e1e5f6e424f4348d18ebc171298dd0eb34ec5a000a353f3d98f",
    "ner/kin_MasakhaNER/train.txt": "46960b853d33b08759ec04dea5ba390ac196573b9fb868556aa3ed9ecd613d5a",
    "ner/nl_WikiNEuRal/test.conllu": "e884472966f6bb6ad1c241ee3506f4db5ecc9116c265bf3421510a7fcfb613ea",
    "ner/nl_WikiNEuRal/val.conllu": "9999ef4bd5bb0f9bb6a6a63527c9a0e67ee61b4bad69446215fd86db3e47c7d8",
    "ner/pt_UNER-Bosque/LICENSE.txt": "ab3a36080055dd29ad2b59162e43d1368c7f15643666bea982d4e103f546e025",
    "ner/pt_UNER-Bosque/pt_bosque-ud-dev.iob2": "0e6cb1db280e6677e2fd4380d695039791b5cb70bb5100376166aae5690da01a",
    "ner/pt_UNER-Bosque/pt_bosque-ud-test.iob2": "45cf232ff7677cb6f4020dad96dbf8412d1f2cca38d81164ac96ee8c03b6b09f",
    "ner/pt_UNER-Bosque/pt_bosque-ud-train.iob2": "1d8762040667fc15f4ec83801e20d14d10ebea2b90c16c312f3ba03da2d1f860",
    "ner/pt_UNER-PUD/LICENSE.txt": "b278eb53fe50b8bb7fa0d90fb8536c35fdcaa80f9d63812cb51db539555d2a89",
    "ner/pt_UNER-PUD/pt_pud-ud-test.iob2": "e91d2e88c4e0b8007f2db01fbea8f101e83e6756ba21256aaf420e8af65fda8a",
    "ner/sv_UNER-Talbanken/LICENSE.txt": "239ff95d499df7dc011f6a55dc34cb1f1d47fe5edb55db677b51a15da819af0e",
    "ner/sv_UNER-Talbanken/sv_talbanken-ud-dev.iob2": "aaa5802d5d6e53b0ed78cc40c5d7aa47fdd2675a88318162fc282dd6895533b1",
    "ner/sv_UNER-Talbanken/sv_talbanken-ud-test.iob2": "9c6f1013d9d8aaf321454f4c4470fd03c9ddcb0a1e660920b6340d0838fb2653",
    "ner/sv_UNER-Talbanken/sv_talbanken-ud-train.iob2": "c00a899b47b31ed32f4ac443c70471627f421a2bea654a2261107924b57b97e4",
    "ner/swa_MasakhaNER/dev.txt": "ee742c38cba9139f1a147baffe7d294d6e38599c67a66ec896500ac2666f53d3",
    "ner/swa_MasakhaNER/test.txt": "f91b97def896572dfaaf6db247a01cc1a8b7bd2ce537c19956ec0a0a1ac5913c",
    "ner/swa_MasakhaNER/train.txt": "3fbefb76d97a652a29c6f856946af60e31a92ad82927bb748092c5be1b96cb08",
    "ner/tl_UNER-TRG/LICENSE.txt": "76cbab13f5ddb068524dafb0600017c796311cd459def36d3d9d8cd0b8fb49be",
    "ner/tl_UNER-TRG/tl_trg-ud-test.iob2": "309c0fcf6b22241be1e78dce8f28871f25eab59446da8aea24f6bcffe6fab666",
    "ner/zh_UNER-GSDSimp/LICENSE.txt": "76cbab13f5ddb068524dafb0600017c796311cd459def36d3d9d8cd0b8fb49be",
    "ner/zh_UNER-GSDSimp/zh_gsdsimp-ud-dev.iob2": "8aeab3ac662468e258a65f887844c50cee8311cb080b60a421ff7aa8a05e8032",
    "ner/zh_UNER-GSDSimp/zh_gsdsimp-ud-test.iob2": "f1d8faa790d914fe01a24627874c8e7fad9c40b54742f5aefab5ba3f7c8edede",
    "ner/zh_UNER-GSDSimp/zh_gsdsimp-ud-train.iob2": "a03b5260c3d960aa711ff5f12b797de5c7d7f412563593c173cd0e7135001db5",
    "ner/zh_UNER-PUD/LICENSE.txt": "b278eb53fe50b8bb7fa0d90fb8536c35fdcaa80f9d63812cb51db539555d2a89",
    "ner/zh_UNER-PUD/zh_pud-ud-test.iob2": "c7549cf2ece208ec0068a1b71bc40eec4e562579738a45b0ad7ea33482e787c4",
    "slots/MASSIVE-1.1/amazon-massive-dataset-1.1.tar.gz": "4cba5faa11c71437928e17cb1b9b3d8b8e727e7ea363a3a9a8045e19c0491577",
    "slots/fb-multilingual-tod/en/eval-en.tsv": "32f89eb121d639a135e2ef429cc6bacf804e2c70422969c3fd8d149348b507cb",
    "slots/fb-multilingual-tod/en/test-en.tsv": "a1c3916daa49da63a52a34b74b2a4e1591f0c698b9d90b454f4cff982df2050c",
    "slots/fb-multilingual-tod/es/eval-es.tsv": "b3c669e613b22311173d7ed5c898e18a28a6214b99144d80c74d0eb5fb870572",
    "slots/fb-multilingual-tod/es/test-es.tsv": "98e53bdc46220ad4202d8fa05ee2dfa56acebef625ee44a825089cba98bde319",
    "slots/fb-multilingual-tod/es/train-es.tsv": "ff120c531eecada6dd415b70b92c1a026e64ccc4d9c561fb7dba89ac338a911e",
    "slots/xSID-0.7/LICENSE": "3b2890eacd851373001c4a14623458e3adaf1b1967939aa9c38a318e28d61c00",
    "slots/xSID-0.7/ar.test.conll": "3153e7b07c6e73e5641eca5813ce1fa81b746428d1c4078829a9c009627a770a",
    "slots/xSID-0.7/ar.valid.conll": "b06a509a5bcec84c68825c6e595890ff9a2a4b16e790bdd853d160323545d689",
    "slots/xSID-0.7/da.test.conll": "f299f6d274157b3a0ef4b45773c8d1d35110f455aacdbe2f3109d58c10b694ae",
    "slots/xSID-0.7/da.valid.conll": "bb7be81750052d8b76970edd0363acb31b41e8edf5474d9109fb21659ae2a70e",
    "slots/xSID-0.7/de.test.conll": "3940bd10101babf1c29ae238d2c788a91e4b25b9dbd5b7a162de52cab552354b",
    "slots/xSID-0.7/de.valid.conll": "36fa82c92a5da4b53330d38f5f0c4b80b9cdafe8b0a320d4baab6e2de8f63ef8",
    "slots/xSID-0.7/en.test.conll": "4d1590a0d9f63172c477a33046dd1821414990a44c6ff4de698a1c3b7dd3ac88",
    "slots/xSID-0.7/en.valid.conll": "2d767f14a238dff33ddcd8411a54ce5a5b36ffb4058e8963b3860f588992722d",
    "slots/xSID-0.7/id.test.conll": "e5c4a21a8beb4131390c2a55b9b091e6bd619498b4fdc9c3d174091393bde720",
    "slots/xSID-0.7/id.valid.conll": "977e05b0269a349e46f8fbb90fc2d817da5da2cf218f9cc7bfa3914806d41ec2",
    "slots/xSID-0.7/it.test.conll": "9fbebbadc9681209e66391783ea6da57a0f91e1586d82c702402f8b835251804",
    "slots/xSID-0.7/it.valid.conll": "26acfbc284b4c00a401531f74f596422b840e5307af84696b5c6d8c615301fb0",
    "slots/xSID-0.7/ja.test.conll": "7cfa77b0aebba129c304914792be64751fb180eae6307e30b09ea7591e30c8ce",
    "slots/xSID-0.7/ja.valid.conll": "e0ab6c083f7a1cb48b83868a7546dbd114172d9a5e25603d844e3c8a3897ab7f",
    "slots/xSID-0.7/kk.test.conll": "612facbccc4d18e35ea8c1f53e6f69d2092a0c0936ac34341c58ecc3b2007af4",
    "slots/xSID-0.7/kk.valid.conll": "8c5f353c4583871acf86187087f1d350d3b4e7d0b974b897bc7175341c70a53f",
    "slots/xSID-0.7/nl.test.conll": "ae6164b5cb505010d16d85711a87a7f105a2651e0df6a89496d32b4078216ca3",
    "slots/xSID-0.7/nl.valid.conll": "44f2f86d1f7ead74434d7ea7ff6905458c64c4d63119825f6a4bdc994c90ad1a",
    "slots/xSID-0.7/sr.test.conll": "71532ab938ba3b4fde92ff613517ced9424aea4cb7ce7b0e291b394035a93cd5",
    "slots/xSID-0.7/sr.valid.conll": "ef9f1c3368b33f7b5ef2b131eb3940e7c3b538785898486c7084333dcc182b32",
    "slots/xSID-0.7/tr.test.conll": "c600eb35a716f28d682fe77610dc30a8f9e63612df48ebb52ed3f9e5e0f2cf21",
    "slots/xSID-0.7/tr.valid.conll": "0ac8d0d818c65eefd332f17d01f51e272ab1fce630216b7aa529291e716b83fc",
    "slots/xSID-0.7/zh.test.conll": "a5f03ff29b9fbf63be8b8001376b9bcf955081fe9967aa2d496e2985a5536e41",
    "slots/xSID-0.7/zh.valid.conll": "1b04574369210b6b652e2a5fc1a0fec86e66462988ae54b200b2fea0825a4b93",
    "ud/UD_Arabic-PADT/LICENSE.txt": "79e211ff70191c7f5cf0e33a8cf2bfa5799318d51ae7a5fd1a065abcb3e3ab05",
    "ud/UD_Chinese-GSDSimp/LICENSE.txt": "899b1804a12ebc090b96339614eede1b64b686721b650a71430b55b5235f7f79",
    "ud/UD_Chinese-GSDSimp/zh_gsdsimp-ud-dev.conllu": "c92901a021712268f9beeac5d1aac80076e3ddf4d4d7f3ed2cb534170b5c15c4",
    "ud/UD_Chinese-GSDSimp/zh_gsdsimp-ud-test.conllu": "3c21e0ce98008d8437d41dc10b3a0d61e2805231a6bb99abbcaeabce01d3a664",
    "ud/UD_Dutch-Alpino/LICENSE.txt": "df653272772ee86b0098bfc640b0ab583f6ecf59bb6254b82feaba3aed3ed93c",
    "ud/UD_Dutch-Alpino/nl_alpino-ud-dev.conllu": "5636b38e16957378e832defc5160cfe8b2c986c0f200ee6b3f8bd794e5096485",
    "ud/UD_Dutch-Alpino/nl_alpino-ud-test.conllu": "91af2b41a89210f023005d66cfeffe9da460a1e3a57cdb15cd693b7835931095",
    "ud/UD_English-EWT/LICENSE.txt": "b3d1b0f4c6ae151f7eb78738f46ebd5ee140f8a7f76501ba26af123140d35ae7",
    "ud/UD_English-EWT/en_ewt-ud-dev.conllu": "57703dcd3b04c32dda6cb7c2a9d836daf65c2b9141a670163693d230b46559c8",
    "ud/UD_English-EWT/en_ewt-ud-test.conllu": "25ef2d6fe772b8f05be374e093693f14284ccdd870fc27a9295f7e5a0fc3253a",
    "ud/UD_English-EWT/en_ewt-ud-train.conllu": "4e45f7b6f6d4e8d33e0ba7090fc37f2385a91711edb20d456d3fb5f45ac0fc28",
    "ud/UD_German-GSD/LICENSE.txt": "899b1804a12ebc090b96339614eede1b64b686721b650a71430b55b5235f7f79",
    "ud/UD_German-GSD/de_gsd-ud-dev.conllu": "26e994f0403f6de43a22302fd0f632408e32b95b05cf9318d049d51d0c98fbbf",
    "ud/UD_German-GSD/de_gsd-ud-test.conllu": "1f04a5a571ef31b7b739d1cdb05ceb2db782c4ad9bbf46672f608caccf349403",
    "ud/UD_German-HDT/LICENSE.txt": "4babe4b8aa201a260984073b558cd8d9f3039765ab8a949a9075bc0d4b137ac7",
    "ud/UD_Hebrew-HTB/LICENSE.txt": "47c51ab15022b0245959914ecd17f446ab37cb9eedd58a5c0cf5975f7f1c60ee",
    "ud/UD_Hebrew-HTB/he_htb-ud-dev.conllu": "361560ad90cc9b16e8a75f245362239b4e6734f914fc8fddcda036e871a87f99",
    "ud/UD_Hebrew-HTB/he_htb-ud-test.conllu": "d1bed9b4040a49fe76251adb52bdd6553e3c56ca200b4733a67cf4a0250cb762",
    "ud/UD_Japanese-GSD/LICENSE.txt": "899b1804a12ebc090b96339614eede1b64b686721b650a71430b55b5235f7f79",
    "ud/UD_Japanese-GSD/ja_gsd-ud-dev.conllu": "aa276e31db568486ed6a2f989110ad575f4da9de88bde0b7b84f859df697226c",
    "ud/UD_Japanese-GSD/ja_gsd-ud-test.conllu": "82a0e132140d41e9013dfe238e6d4d450655c8f9d088491feaa365b3c2be1512",
    "ud/UD_Persian-Seraji/LICENSE.txt": "4765b622058793e9153bbb2100b0caf01e97ff0a1cb18d6c5759b8b9a0074db7",
    "ud/UD_Persian-Seraji/fa_seraji-ud-dev.conllu": "d244c4a55b2c81dd4035a84b2278e5b4996d8491e223bc0e154a4d53f7b59565",
    "ud/UD_Persian-Seraji/fa_seraji-ud-test.conllu": "9c702c9031a6cccb133d41e56e6e183f670e2c705ca129f4114e3a44209b0125",
    "ud/UD_Urdu-UDTB/LICENSE.txt": "1bb3ff5207731c9fcbdbe64d82afbfe9d721582510d777f0f5ce5f258c36fde4",
    "ud/UD_Urdu-UDTB/ur_udtb-ud-dev.conllu": "d5e2e457feef95c6f082077d70461efc597de3a30745913768b6cb9763f37702",
    "ud/UD_Urdu-UDTB/ur_udtb-ud-test.conllu": "aebb77eeaf0acce237ffcfb22d3ab6bc4b5a6a341eb3ad9a5ccc4d155ac05198",
}

"""Sentences written by hand, word by word with their tags, against what the tables make of the same frames and fillers."""

import pytest

from polyhead.data.phrases.files import running_text
from polyhead.data.phrases.grammar import grammar
from polyhead.data.phrases.inventory import OPENER, inventory
from polyhead.data.phrases.realise import NOTHING, Phrase, realised


def made(language: str, frame: str, fillers: str) -> Phrase:
    chosen = dict(pair.split("=") for pair in fillers.split())
    return realised(inventory().frames[frame], {OPENER: NOTHING, **chosen}, grammar(language))


# What each line would show if it were wrong: an article, an ending, a case, a place in the sentence, a particle.
@pytest.mark.parametrize(
    ("language", "frame", "fillers", "expected"),
    [
        ("en", "table_find", "cuisine=italian place=rome", "Is there a good Italian restaurant in Rome?"),
        ("en", "table_open", "cuisine=indian day=sunday", "Do you know an Indian restaurant that is open on Sunday?"),
        ("en", "match_lost", "team=ajax place=milan", "Ajax lost in Milan although they played well."),
        ("de", "lost_left", "item=key vehicle=ferry from=oslo", "Ich habe meinen Schlüssel auf der Fähre aus Oslo vergessen."),
        ("de", "train_next", "vehicle=plane to=vienna", "Wann geht das nächste Flugzeug nach Wien?"),
        ("de", "film_seen", "film=frida relative=mother", "Ich habe Frida schon mit meiner Mutter gesehen."),
        ("de", "remind_bed", "todo=lock_door", "Vergiss nicht, die Tür abzuschließen, bevor du ins Bett gehst."),
        ("nl", "lost_left", "item=key vehicle=ferry from=oslo", "Ik heb mijn sleutel op de veerboot uit Oslo laten liggen."),
        ("nl", "spot_way", "spot=museum", "Hoe kom ik van het hotel naar het museum?"),
        ("nl", "remind_bed", "todo=fetch_children", "Vergeet niet om de kinderen op te halen voordat je naar bed gaat."),
        ("nl", "remind", "todo=light_candles day=tomorrow", "Help me morgen onthouden dat ik de kaarsen moet aansteken."),
        ("es", "lost_whose", "item=suitcase colour=red", "¿Es tuya esta maleta roja?"),
        (
            "es",
            "flight_which",
            "airline=iberia to=cape_town from=rome time=noon",
            "¿Qué vuelos de Iberia a Ciudad del Cabo salen de Roma a mediodía?",
        ),
        ("es", "remind_must", "todo=call_doctor day=next_month", "El próximo mes tengo que llamar al médico."),
        (
            "ar",
            "flight_seats",
            "number=five to=cairo condition=cheap",
            "نحتاج إلى خمسة مقاعد في الطائرة إلى القاهرة إذا لم يكن السعر مرتفعا جدا.",
        ),
        ("ar", "train_late", "vehicle=bus from=amman", "تأخرت الحافلة القادمة من عمان ويمكن أن تفوتنا رحلتنا."),
        ("ar", "lost_item", "item=bag colour=black", "فقدت حقيبتي السوداء."),
        ("ar", "table_book", "restaurant=roma number=four hour=evening", "احجز طاولة في مطعم روما لأربعة أشخاص في المساء."),
        ("he", "hotel_have", "room=suite nights=two_nights", "האם יש לכם עדיין סוויטה לשני לילות?"),
        ("he", "lost_whose", "item=umbrella colour=black", "האם המטרייה השחורה הזאת שלך?"),
        ("he", "food_order", "number=three dish=pizza dish2=salad", "שלוש מנות של פיצה ומנה אחת של סלט, בבקשה."),
        ("he", "table_book", "restaurant=roma number=three hour=evening", "הזמן שולחן במסעדת רומא לשלושה אנשים בערב."),
        ("he", "language_say", "language=german", "איך אומרים “לילה טוב” בגרמנית?"),
        ("zh", "lost_whose", "item=umbrella colour=black", "这把黑色雨伞是你的吗？"),
        ("zh", "film_seen", "film=avatar relative=father", "我已经和我爸爸看过《阿凡达》了。"),
        ("zh", "flight_cancel", "airline=klm reason=snow", "因为在下雪，我必须取消荷兰皇家航空的预订。"),
        ("ja", "remind_must", "todo=lock_door day=monday", "月曜日にドアに鍵をかけなければなりません。"),
        ("ja", "remind_bed", "todo=fetch_children", "寝る前に子供を迎えに行くのを忘れないでください。"),
        ("ja", "lost_whose", "item=hat colour=green", "この緑の帽子はあなたのですか。"),
        ("ja", "weather_how", "place=osaka day=saturday", "土曜日の大阪の天気はどうですか。"),
        (
            "tr",
            "table_book",
            "restaurant=istanbul number=four hour=eight",
            "Saat sekizde İstanbul'da dört kişilik bir masa ayırt.",
        ),
        ("tr", "match_win", "team=ajax rival=chelsea day=tomorrow", "Ajax yarın Chelsea'yi yenecek mi?"),
        ("tr", "watch_broken", "relative=brother", "Erkek kardeşimin bana verdiği saat bozuk."),
        ("tr", "spot_open", "spot=library day=sunday", "Kütüphane pazar günü erken açılıyor mu?"),
    ],
)
def test_a_sentence_is_what_a_speaker_would_write(language: str, frame: str, fillers: str, expected: str) -> None:
    assert running_text(made(language, frame, fillers).words, grammar(language)) == expected


@pytest.mark.parametrize(
    ("language", "frame", "fillers", "expected"),
    [
        (
            "en",
            "food_without",
            "dish=apple_cake",
            "I/PRON would/AUX like/VERB apple/NOUN cake/NOUN without/ADP nuts/NOUN ./PUNCT",
        ),
        (
            "de",
            "table_find",
            "cuisine=greek place=oslo",
            "Gibt/VERB es/PRON in/ADP Oslo/PROPN ein/DET gutes/ADJ griechisches/ADJ Restaurant/NOUN ?/PUNCT",
        ),
        (
            "de",
            "lost_left",
            "item=hat vehicle=train from=oslo",
            "Ich/PRON habe/AUX meinen/DET Hut/NOUN im/ADP Zug/NOUN aus/ADP Oslo/PROPN vergessen/VERB ./PUNCT",
        ),
        (
            "nl",
            "train_next",
            "vehicle=bus to=oslo",
            "Wanneer/ADV gaat/VERB de/DET volgende/VERB bus/NOUN naar/ADP Oslo/PROPN ?/PUNCT",
        ),
        ("es", "spot_way", "spot=park", "¿/PUNCT Cómo/ADV llego/VERB del/ADP hotel/NOUN al/ADP parque/NOUN ?/PUNCT"),
        ("ar", "call_person", "callee=omar_hassan hour=noon", "اتصل/VERB بعمر/PROPN حسن/PROPN عند/ADP الظهر/NOUN ./PUNCT"),
        (
            "he",
            "work_at",
            "guest=rose company=sony place=warsaw",
            "רוז/PROPN עובדת/VERB בחברת/NOUN סוני/PROPN בוורשה/PROPN ./PUNCT",
        ),
        ("zh", "spot_nearest", "spot=station", "最近/ADJ 的/PART 火车/NOUN 站/PART 在/VERB 哪里/PRON ？/PUNCT"),
        ("zh", "lost_whose", "item=book colour=red", "这/DET 本/NOUN 红色/NOUN 书/NOUN 是/AUX 你/PRON 的/PART 吗/PART ？/PUNCT"),
        (
            "ja",
            "film_watch",
            "film=rocky hour=evening",
            "夕方/NOUN に/ADP 『/PUNCT ロッキー/PROPN 』/PUNCT を/ADP 見/VERB たい/AUX です/AUX 。/PUNCT",
        ),
        (
            "tr",
            "flight_exists",
            "from=london to=cairo time=noon",
            "Öğleyin/ADV Londra'dan/PROPN Kahire'ye/PROPN uçuş/NOUN var/ADJ mı/AUX ?/PUNCT",
        ),
    ],
)
def test_words_and_tags_are_those_of_the_treebanks(language: str, frame: str, fillers: str, expected: str) -> None:
    phrase = made(language, frame, fillers)
    assert " ".join(f"{word}/{tag}" for word, tag in zip(phrase.words, phrase.upos, strict=True)) == expected


@pytest.mark.parametrize(
    ("language", "frame", "fillers", "slots", "entities"),
    [
        ("en", "flight_change", "to=new_york date=third_of_may", "toloc.city: New York; depart_date: May 3", "LOC: New York"),
        (
            "en",
            "flight_person",
            "guest=rose elsewhere=paris to=rome",
            "person: Rose; toloc.city: Rome; location: Paris",
            "PER: Rose; LOC: Rome; LOC: Paris",
        ),
        (
            "de",
            "call_back",
            "callee=mark company=deutsche_bank day=monday",
            "contact: Mark; organisation: Deutschen Bank; date: Montag",
            "PER: Mark; ORG: Deutschen Bank",
        ),
        (
            "es",
            "flight_want",
            "from=cape_town to=rome date=weekend",
            "fromloc.city: Ciudad del Cabo; toloc.city: Roma; depart_date: fin de semana",
            "LOC: Ciudad del Cabo; LOC: Roma",
        ),
        (
            "zh",
            "work_at",
            "guest=tom_baker place=rome company=general_motors",
            "person: 汤姆 · 贝克; location: 罗马; organisation: 通用 汽车",
            "PER: 汤姆 · 贝克; LOC: 罗马; ORG: 通用 汽车",
        ),
        (
            "tr",
            "flight_landed",
            "airline=turkish_airlines from=rome",
            "airline: Türk Hava Yolları'nın; fromloc.city: Roma'dan",
            "ORG: Türk Hava Yolları'nın; LOC: Roma'dan",
        ),
        (
            "ja",
            "film_where",
            "place=tel_aviv film=titanic",
            "location: テル アビブ; film: タイタニック",
            "LOC: テル アビブ; MISC: タイタニック",
        ),
    ],
)
def test_labels_cover_the_fillers(language: str, frame: str, fillers: str, slots: str, entities: str) -> None:
    phrase = made(language, frame, fillers)
    assert spans(phrase.words, phrase.slots) == slots
    assert spans(phrase.words, phrase.entities) == entities


def spans(words: tuple[str, ...], tags: tuple[str, ...]) -> str:
    found: list[list[str]] = []
    for word, tag in zip(words, tags, strict=True):
        if tag.startswith("B-"):
            found.append([f"{tag[2:]}:", word])
        elif tag.startswith("I-"):
            found[-1].append(word)
    return "; ".join(" ".join(span) for span in found)

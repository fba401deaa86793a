"""Are the generated phrases hard enough? `mini` fine-tuned on phrases/en, tested with all heads and with none.

Unpruned accuracy should lie between 85 and 98 % and fall by 5 points or more without heads; otherwise
make the generator harder.
"""

import environment
import numpy as np
from fine_tuned import MINI, tokenizer
from treebanks import LABELS, POS

from polyhead.core.heads import HeadMask
from polyhead.core.specs import TrainSpec
from polyhead.data.corpora import open_corpus
from polyhead.learning.batching import scoring_batches
from polyhead.learning.encoding import encode, model_limit
from polyhead.learning.inference import Labelled
from polyhead.learning.masked_evaluation import masked_scores
from polyhead.learning.training import fit
from polyhead.models.loading import load_tagger

SEED = 42


def main() -> None:
    """Fine-tune once, score every language's test split, write the result."""
    train = open_corpus("phrases/en", "train")
    model = load_tagger(str(MINI), labels=LABELS, seed=SEED)
    limit = model_limit(model.config)
    fit(model, encode(train.sentences, tokenizer(), LABELS, model_limit=limit), TrainSpec(seed=SEED), device="auto")
    shape = (model.config.num_hidden_layers, model.config.num_attention_heads)
    masks = [HeadMask(np.ones(shape, dtype=np.bool_)), HeadMask(np.zeros(shape, dtype=np.bool_))]
    rows = {}
    for language in ("en", "de", "nl", "es", "ar", "he", "zh", "ja", "tr"):
        test = open_corpus(f"phrases/{language}", "test")
        encoded = encode(test.sentences, tokenizer(), LABELS, model_limit=limit, unknown="ignore")
        data = Labelled(encoded, [sentence.labels for sentence in test.sentences])
        scores, _ = masked_scores(model, scoring_batches(encoded), data, POS, LABELS, masks, precision="fp32")
        rows[language] = {"all_heads": round(float(scores[0]), 4), "no_heads": round(float(scores[1]), 4), "sha256": test.sha256}
        print(language, rows[language])
    environment.write("phrase_difficulty", {"environment": environment.environment(seed=SEED), "accuracy": rows})


if __name__ == "__main__":
    main()

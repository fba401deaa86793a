"""The table of importance methods: what each measures, costs, needs and promises.

A row names only what differs from most: one pass each way, scores of 0 or more, and the promises that it does not make.

>>> METHODS["gradient"].needs_labels, METHODS["magnitude"].needs_labels
(True, False)
"""

from functools import partial

from polyhead.importance.ablation import ablation
from polyhead.importance.attention import confidence, entropy
from polyhead.importance.baselines import depth_scores, magnitude, random_scores
from polyhead.importance.gate_learning import EPOCHS, GateOptions
from polyhead.importance.gradients import STEPS, IntegratedOptions, fisher, gradient, integrated
from polyhead.importance.l0 import l0
from polyhead.importance.method import NO_PASS, Method, Passes
from polyhead.importance.relevance import relevance
from polyhead.importance.shapley import ShapleyOptions, shapley
from polyhead.importance.subset import subset
from polyhead.importance.weight_gradient import weight_gradient
from polyhead.models.model_heads import head_mask

_ONE_LAYER = "attention weights of one batch in one layer"
_TWO_MATRICES = "activations of one batch; gradients of two matrices per layer"
_STATES_OF_LAYERS = "two hidden states per layer of one batch (DistilBERT: four)"

METHODS: dict[str, Method] = {
    row.name: row
    for row in (
        Method(
            "gradient",
            "absolute gradient of the sentence loss with respect to the head's gate, mean over sentences",
            gradient,
            source="Michel et al. 2019; Ma et al. 2021",
            gradient_power=1,
            profiles_heads=True,
            sentence_mean=True,
        ),
        Method(
            "gradient-token",
            "as gradient, with absolute values taken per token position instead of per sentence",
            partial(gradient, per="token"),
            source="Michel et al. 2019, per token",
            sentence_mean=True,
        ),
        Method(
            "gradient-batch",
            "as gradient, with absolute values taken per batch; for comparison with published scripts",
            partial(gradient, per="batch"),
            batch_invariant=False,
            source="several published scripts",
        ),
        Method(
            "fisher",
            "squared gate gradient, mean over sentences: the empirical Fisher information of the gate",
            fisher,
            source="Kwon et al. 2022",
            gradient_power=2,
            sentence_mean=True,
        ),
        Method(
            "weight-gradient",
            "mean absolute gradient of the head's rows of the key and value weights",
            weight_gradient,
            memory=_TWO_MATRICES,
            batch_invariant=False,
            source="Ma et al. 2021, axis corrected",
        ),
        Method(
            "weight-gradient-released",
            "as weight-gradient, on slices of the layer's input, which are not heads; for comparison only",
            partial(weight_gradient, released=True),
            memory=_TWO_MATRICES,
            dead_head_is_zero=False,
            finds_planted=False,
            batch_invariant=False,
            source="released code of Ma et al. 2021 (wrong axis)",
            place_invariant=False,
        ),
        Method(
            "integrated",
            "head's share of the loss reduction by all heads: gate gradients integrated from all off to all on",
            integrated,
            forward=Passes.fixed(STEPS),
            backward=Passes.fixed(STEPS),
            sign="signed",
            source="Sundararajan et al. 2017, on gates; close to Hao et al. 2021",
            options=IntegratedOptions,
            sentence_mean=True,
        ),
        Method(
            "ablation",
            "rise in loss with only this head's output set to zero",
            ablation,
            forward=Passes("1 + H(L + 1)/2", lambda layers, heads: 1 + heads * (layers + 1) / 2),
            backward=NO_PASS,
            memory=_STATES_OF_LAYERS,
            sign="signed",
            source="Michel et al. 2019",
            sentence_mean=True,
        ),
        Method(
            "ablation-mean",
            "as ablation, with the output replaced by its mean instead of zero",
            partial(ablation, fill="mean"),
            forward=Passes("2 + H(L + 1)/2", lambda layers, heads: 2 + heads * (layers + 1) / 2),
            backward=NO_PASS,
            memory=_STATES_OF_LAYERS,
            sign="signed",
            source="Michel et al. 2019, mean-ablation",
            additive=False,
        ),
        Method(
            "shapley",
            "rise in loss when the head is removed, mean over random removal orders; with 95 % intervals",
            shapley,
            forward=Passes("2, plus about H(L + 1) per round until the lowest heads are settled", None),
            backward=NO_PASS,
            memory=f"{_STATES_OF_LAYERS}; one number per head, round and batch",
            sign="signed",
            batch_invariant=False,
            source="Held and Yang 2023",
            additive=False,
            place_invariant=False,
            options=ShapleyOptions,
        ),
        Method(
            "relevance",
            "head's share of its layer's relevance for the gold logits, by layer-wise relevance propagation (cp); always float32",
            relevance,
            source="Voita et al. 2019; Ali et al. 2022; LRP is patented: free for personal and scientific use only",
            sentence_mean=True,
        ),
        Method(
            "relevance-attn",
            "as relevance, by AttnLRP's rules, which also propagate relevance through attention weights; always float32",
            partial(relevance, variant="attn"),
            source="Achtibat et al. 2024; LRP is patented: free for personal and scientific use only",
            sentence_mean=True,
        ),
        Method(
            "l0",
            "probability that the head's learnt gate is open when K heads must close; all gates are learnt jointly",
            l0,
            forward=Passes.fixed(EPOCHS),
            backward=Passes.fixed(EPOCHS),
            dead_head_is_zero=False,
            batch_invariant=False,
            source="Voita et al. 2019; Louizos et al. 2018",
            additive=False,
            place_invariant=False,
            options=GateOptions,
        ),
        Method(
            "subset",
            "logit learnt for keeping all but exactly K heads; negative: not kept; only the set at this K has a meaning",
            subset,
            forward=Passes.fixed(EPOCHS),
            backward=Passes.fixed(EPOCHS),
            sign="signed",
            dead_head_is_zero=False,
            batch_invariant=False,
            source="Li et al. 2021; Xie and Ermon 2019",
            additive=False,
            place_invariant=False,
            options=GateOptions,
        ),
        Method(
            "confidence",
            "largest attention weight on a subword, mean over queries; ignores the head's output",
            confidence,
            backward=NO_PASS,
            memory=_ONE_LAYER,
            needs="text",
            dead_head_is_zero=False,
            finds_planted=False,
            source="Voita et al. 2019",
            profiles_heads=True,
            sentence_mean=True,
        ),
        Method(
            "entropy",
            "negative entropy (nats) of attention over subwords, mean over queries; ignores the head's output",
            entropy,
            backward=NO_PASS,
            memory=_ONE_LAYER,
            needs="text",
            sign="negative",
            dead_head_is_zero=False,
            finds_planted=False,
            source="Voita et al. 2019",
            sentence_mean=True,
        ),
        Method(
            "magnitude",
            "Frobenius norm of the head's part of W_V W_O",
            magnitude,
            forward=NO_PASS,
            backward=NO_PASS,
            memory="one head's weights",
            needs="weights",
            finds_planted=False,
            source="baseline",
            profiles_heads=True,
        ),
        Method(
            "depth",
            "minus the number of the head's layer: whole layers from the top; ignores the head itself",
            lambda model, batches, call: depth_scores(head_mask(model)),
            forward=NO_PASS,
            backward=NO_PASS,
            memory="nothing",
            needs="shape",
            sign="negative",
            dead_head_is_zero=False,
            finds_planted=False,
            source="Sajjad et al. 2023, for attention alone",
        ),
        Method(
            "random",
            "random numbers from the seed",
            lambda model, batches, call: random_scores(head_mask(model), seed=call.seed),
            forward=NO_PASS,
            backward=NO_PASS,
            memory="nothing",
            needs="shape",
            sign="none",
            dead_head_is_zero=False,
            finds_planted=False,
            source="control",
            place_invariant=False,
        ),
    )
}

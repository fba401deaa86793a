"""The table of importance methods: what each measures, costs, needs and promises; a row names only the promises it does not make.

>>> METHODS["gradient"].needs_labels, METHODS["magnitude"].needs_labels
(True, False)
"""

from polyhead.importance.ablation import ablation
from polyhead.importance.attention import confidence, entropy
from polyhead.importance.baselines import magnitude, random_scores
from polyhead.importance.gradients import IntegratedOptions, fisher, gradient, integrated
from polyhead.importance.l0 import L0Options, l0
from polyhead.importance.method import NO_PASS, ONE_PASS, Method, Passes
from polyhead.importance.relevance import relevance
from polyhead.importance.shapley import ShapleyOptions, shapley
from polyhead.importance.weight_gradient import weight_gradient, weight_gradient_released
from polyhead.models.architectures import head_mask

_ONE_LAYER = "attention weights of one batch in one layer"
_STATES_OF_LAYERS = "two hidden states per layer of one batch (DistilBERT: four)"

METHODS: dict[str, Method] = {
    row.name: row
    for row in (
        Method(
            "gradient",
            "absolute gradient of the sentence loss with respect to the head's gate, mean over sentences",
            lambda model, batches, call: gradient(model, batches, precision=call.precision, progress=call.progress),
            forward=ONE_PASS,
            backward=ONE_PASS,
            sign="absolute",
            source="Michel et al. 2019; Ma et al. 2021",
            gradient_power=1,
            profiles_heads=True,
        ),
        Method(
            "gradient-token",
            "as gradient, with absolute values taken per token position instead of per sentence",
            lambda model, batches, call: gradient(model, batches, per="token", precision=call.precision, progress=call.progress),
            forward=ONE_PASS,
            backward=ONE_PASS,
            sign="absolute",
            source="Michel et al. 2019, per token",
        ),
        Method(
            "gradient-batch",
            "as gradient, with absolute values taken per batch; for comparison with published scripts",
            lambda model, batches, call: gradient(model, batches, per="batch", precision=call.precision, progress=call.progress),
            forward=ONE_PASS,
            backward=ONE_PASS,
            sign="absolute",
            batch_invariant=False,
            source="several published scripts",
        ),
        Method(
            "fisher",
            "squared gate gradient, mean over sentences: the empirical Fisher information of the gate",
            lambda model, batches, call: fisher(model, batches, precision=call.precision, progress=call.progress),
            forward=ONE_PASS,
            backward=ONE_PASS,
            sign="absolute",
            source="Kwon et al. 2022",
            gradient_power=2,
        ),
        Method(
            "weight-gradient",
            "mean absolute gradient of the head's rows of the key and value weights",
            lambda model, batches, call: weight_gradient(model, batches, precision=call.precision, progress=call.progress),
            forward=ONE_PASS,
            backward=ONE_PASS,
            memory="activations of one batch; gradients of two matrices per layer",
            sign="absolute",
            batch_invariant=False,
            source="Ma et al. 2021, axis corrected",
        ),
        Method(
            "weight-gradient-released",
            "as weight-gradient, on slices of the layer's input, which are not heads; for comparison only",
            lambda model, batches, call: weight_gradient_released(
                model, batches, precision=call.precision, progress=call.progress
            ),
            forward=ONE_PASS,
            backward=ONE_PASS,
            memory="activations of one batch; gradients of two matrices per layer",
            sign="absolute",
            dead_head_is_zero=False,
            finds_planted=False,
            batch_invariant=False,
            source="released code of Ma et al. 2021 (wrong axis)",
            place_invariant=False,
        ),
        Method(
            "integrated",
            "head's share of the loss reduction by all heads: gate gradients integrated from all off to all on",
            lambda model, batches, call: integrated(
                model, batches, steps=call.options.steps, precision=call.precision, progress=call.progress
            ),
            forward=Passes("16", lambda layers, heads: 16.0),
            backward=Passes("16", lambda layers, heads: 16.0),
            sign="signed",
            source="Sundararajan et al. 2017, on gates; close to Hao et al. 2021",
            options=IntegratedOptions,
        ),
        Method(
            "ablation",
            "rise in loss with only this head's output set to zero",
            lambda model, batches, call: ablation(
                model, batches, precision=call.precision, progress=call.progress, resume_file=call.resume_file
            ),
            forward=Passes("1 + H(L + 1)/2", lambda layers, heads: 1 + heads * (layers + 1) / 2),
            backward=NO_PASS,
            memory=_STATES_OF_LAYERS,
            sign="signed",
            source="Michel et al. 2019",
        ),
        Method(
            "ablation-mean",
            "as ablation, with the output replaced by its mean instead of zero",
            lambda model, batches, call: ablation(
                model, batches, fill="mean", precision=call.precision, progress=call.progress, resume_file=call.resume_file
            ),
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
            lambda model, batches, call: shapley(
                model,
                batches,
                seed=call.seed,
                n_lowest=call.options.n_lowest,
                max_passes=call.options.max_passes,
                max_rounds=call.options.max_rounds,
                truncation=call.options.truncation,
                precision=call.precision,
                progress=call.progress,
                resume_file=call.resume_file,
            ),
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
            lambda model, batches, call: relevance(model, batches, progress=call.progress),
            forward=ONE_PASS,
            backward=ONE_PASS,
            sign="absolute",
            source="Voita et al. 2019; Ali et al. 2022; LRP is patented: free for personal and scientific use only",
        ),
        Method(
            "relevance-attn",
            "as relevance, by AttnLRP's rules, which also propagate relevance through attention weights; always float32",
            lambda model, batches, call: relevance(model, batches, variant="attn", progress=call.progress),
            forward=ONE_PASS,
            backward=ONE_PASS,
            sign="absolute",
            source="Achtibat et al. 2024; LRP is patented: free for personal and scientific use only",
        ),
        Method(
            "l0",
            "probability that the head's learnt gate is open when K heads must close; all gates are learnt jointly",
            lambda model, batches, call: l0(
                model,
                batches,
                seed=call.seed,
                n_lowest=call.options.n_lowest,
                epochs=call.options.epochs,
                precision=call.precision,
                progress=call.progress,
                resume_file=call.resume_file,
            ),
            forward=Passes("10", lambda layers, heads: 10.0),
            backward=Passes("10", lambda layers, heads: 10.0),
            sign="absolute",
            dead_head_is_zero=False,
            batch_invariant=False,
            source="Voita et al. 2019; Louizos et al. 2018",
            additive=False,
            place_invariant=False,
            options=L0Options,
        ),
        Method(
            "confidence",
            "largest attention weight on a subword, mean over queries; ignores the head's output",
            lambda model, batches, call: confidence(model, batches, precision=call.precision, progress=call.progress),
            forward=ONE_PASS,
            backward=NO_PASS,
            memory=_ONE_LAYER,
            needs="text",
            sign="absolute",
            dead_head_is_zero=False,
            finds_planted=False,
            source="Voita et al. 2019",
            profiles_heads=True,
        ),
        Method(
            "entropy",
            "negative entropy (nats) of attention over subwords, mean over queries; ignores the head's output",
            lambda model, batches, call: entropy(model, batches, precision=call.precision, progress=call.progress),
            forward=ONE_PASS,
            backward=NO_PASS,
            memory=_ONE_LAYER,
            needs="text",
            sign="negative",
            dead_head_is_zero=False,
            finds_planted=False,
            source="Voita et al. 2019",
        ),
        Method(
            "magnitude",
            "Frobenius norm of the head's part of W_V W_O",
            lambda model, batches, call: magnitude(model),
            forward=NO_PASS,
            backward=NO_PASS,
            memory="one head's weights",
            needs="weights",
            sign="absolute",
            finds_planted=False,
            source="baseline",
            profiles_heads=True,
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

//! From an ensemble to its ONNX graph.

mod lists;

use super::{
    FEATURES_INPUT,
    ensemble::{Ensemble, Link},
};
use crate::{
    Error, Result, Tensor,
    model::PROBABILITIES,
    onnx::{
        OnnxModel,
        graph::{Attribute, Domain, GraphBuilder, Value},
    },
    signature::TensorSpec,
    tensor::DType,
};
use lists::{Lists, single, whole};

/// The output of classifiers with the class of each row: `INT64` of shape `(rows)`.
pub(super) const LABEL: &str = "label";

/// The output of everything else: `FP32` of shape `(rows, scores)`.
pub(super) const PREDICTION: &str = "prediction";

/// Writes the graph of a checked ensemble.
///
/// Every branch is one `BRANCH_LEQ` or a chain of them, since a forest of one kind of question is what runtimes run fastest.
pub(super) fn write(ensemble: &Ensemble, name: &str) -> Result<OnnxModel> {
    let mut graph = GraphBuilder::new(name);
    let x = graph.input(TensorSpec::batched(FEATURES_INPUT, DType::Fp32, [ensemble.features.len()]))?;
    let slope = match ensemble.link {
        Link::Sigmoid { slope } | Link::Logistic { slope } | Link::OneVersusAll { slope } => slope,
        _ => 1.0,
    };
    let mut lists = Lists::new(slope);
    for tree in &ensemble.trees {
        lists.tree(tree)?;
    }
    lists.score_everything(ensemble.scores)?;
    let base = ensemble.base.iter().map(|base| single(base * slope)).collect::<Result<Vec<_>>>()?;
    match ensemble.link {
        Link::Logistic { .. } => {
            // A runtime takes a sum of weights that are all positive for a share of one, and 0.5 for its middle. A leaf
            // that is lost in any sum makes one of them negative, and the middle zero.
            if lists.are_all_positive() {
                lists.leaf(0, -1e-30)?;
            }
            classifier(&mut graph, x, lists, &base, 2, "LOGISTIC")?;
        }
        Link::Softmax => classifier(&mut graph, x, lists, &base, ensemble.scores, "SOFTMAX")?,
        Link::OneVersusAll { .. } => classifier(&mut graph, x, lists, &base, ensemble.scores, "LOGISTIC")?,
        link => {
            let scores = regressor(&mut graph, x, lists, &base)?;
            let prediction = linked(&mut graph, scores, link)?;
            graph.output(prediction, TensorSpec::batched(PREDICTION, DType::Fp32, [ensemble.scores]))?;
        }
    }
    graph.finish()
}

fn classifier(
    graph: &mut GraphBuilder,
    x: Value,
    lists: Lists,
    base: &[f32],
    classes: usize,
    transform: &str,
) -> Result<()> {
    let mut attributes = lists.attributes("class", base);
    attributes.push(Attribute::ints("classlabels_int64s", (0..classes).map(whole).collect::<Result<Vec<_>>>()?));
    attributes.push(Attribute::string("post_transform", transform));
    let [label, probabilities] = graph.node_of(Domain::Ml, "TreeEnsembleClassifier", &[x], attributes);
    graph.output(label, TensorSpec::batched(LABEL, DType::Int64, []))?;
    graph.output(probabilities, TensorSpec::batched(PROBABILITIES, DType::Fp32, [classes]))
}

fn regressor(graph: &mut GraphBuilder, x: Value, lists: Lists, base: &[f32]) -> Result<Value> {
    let mut attributes = lists.attributes("target", base);
    attributes.push(Attribute::int("n_targets", whole(base.len())?));
    Ok(graph.node(Domain::Ml, "TreeEnsembleRegressor", &[x], attributes))
}

fn linked(graph: &mut GraphBuilder, scores: Value, link: Link) -> Result<Value> {
    let mut op = |op, inputs: &[Value]| graph.node(Domain::Onnx, op, inputs, Vec::new());
    Ok(match link {
        Link::Identity => scores,
        Link::Sigmoid { .. } => op("Sigmoid", &[scores]),
        Link::Exp => op("Exp", &[scores]),
        Link::Softplus => op("Softplus", &[scores]),
        Link::SignedSquare => {
            let size = op("Abs", &[scores]);
            op("Mul", &[scores, size])
        }
        Link::Step => {
            let zero = graph.initializer(Tensor::vector(vec![0.0_f32]));
            let above = graph.node(Domain::Onnx, "Greater", &[scores, zero], Vec::new());
            graph.node(Domain::Onnx, "Cast", &[above], vec![Attribute::int("to", 1)])
        }
        Link::Logistic { .. } | Link::Softmax | Link::OneVersusAll { .. } => {
            return Err(Error::internal("classes are written by the classifier"));
        }
    })
}

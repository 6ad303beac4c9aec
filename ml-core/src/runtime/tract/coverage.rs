//! Which operators tract computes as the specification says.

use crate::{
    Error, Result,
    onnx::proto::{GraphProto, ModelProto},
};

/// Operators that this version of tract loads and computes otherwise than ONNX Runtime, and how.
const WRONG: &[(&str, &str)] = &[
    ("LinearClassifier", "one row of coefficients for two classes gives -s and s, not 1-s and s"),
    ("TreeEnsembleClassifier", "labels of two classes come out inverted"),
];

/// Refuses a model with an operator that tract has not, or has wrong.
pub(super) fn check(model: &ModelProto) -> Result<()> {
    if let Some(function) = model.functions.first() {
        return Err(
            Error::unsupported("tract knows no functions of a model").with("function", function.name().escape_debug())
        );
    }
    let known = tract_onnx::onnx().op_register;
    model.graph.as_ref().map_or(Ok(()), |graph| check_graph(graph, &|op| known.0.contains_key(op)))
}

fn check_graph(graph: &GraphProto, known: &impl Fn(&str) -> bool) -> Result<()> {
    for node in &graph.node {
        let refused = |message: &str| {
            let domain = if node.domain().is_empty() { "ai.onnx" } else { node.domain() };
            Error::unsupported(message)
                .with("op", format!("{}.{}", domain.escape_debug(), node.op_type().escape_debug()))
                .with("node", node.name().escape_debug())
        };
        // tract looks at the name of an operator and not at the set that it is of.
        if !["", "ai.onnx", "ai.onnx.ml"].contains(&node.domain()) || !known(node.op_type()) {
            return Err(refused("tract does not know this operator"));
        }
        if let Some((_, how)) = WRONG.iter().find(|(op, _)| *op == node.op_type()) {
            return Err(refused("tract computes this operator otherwise than ONNX Runtime").with("how", how));
        }
        for attribute in &node.attribute {
            attribute.g.iter().chain(&attribute.graphs).try_for_each(|graph| check_graph(graph, known))?;
        }
    }
    Ok(())
}

//! Maps from class to probability, one a row, which scikit-learn's exporter makes of probabilities: no tensors.

use super::{
    graph::value_info,
    proto::{AttributeProto, ModelProto, NodeProto, OperatorSetIdProto},
};
use crate::{Error, Result, signature::TensorSpec, tensor::DType};

/// Turns each output of maps back into the tensor that they were made from. Gives a note for each.
pub(crate) fn unzip(model: &mut ModelProto) -> Result<Vec<String>> {
    let ModelProto { graph, opset_import, .. } = model;
    let graph = graph.as_mut().ok_or_else(|| Error::corrupt("the model has no graph"))?;
    let mut notes = Vec::new();
    for at in 0..graph.node.len() {
        let node = &graph.node[at];
        if (node.op_type(), node.domain()) != ("ZipMap", "ai.onnx.ml") {
            continue;
        }
        let (Some(input), Some(output)) = (node.input.first().cloned(), node.output.first().cloned()) else {
            return Err(Error::corrupt("a map has no input or output").with("node", node.name().escape_debug()));
        };
        let (classes, listed) = classes(node);
        let read = graph.node.iter().any(|other| other.input.contains(&output));
        let Some(declared) = graph.output.iter_mut().find(|declared| *declared.name() == *output) else { continue };
        // What takes the maps apart again is left to runtimes that know both.
        if read || classes == 0 {
            continue;
        }
        *declared = value_info(&TensorSpec::batched(&output, DType::Fp32, [classes]));
        notes.push(format!(
            "output {} was a map a row: it is a tensor with a column each for {listed}",
            output.escape_debug()
        ));
        graph.node[at] = NodeProto {
            name: graph.node[at].name.clone(),
            op_type: Some("Identity".into()),
            input: vec![input],
            output: vec![output],
            ..NodeProto::default()
        };
    }
    if !notes.is_empty() && !opset_import.iter().any(|set| matches!(set.domain(), "" | "ai.onnx")) {
        opset_import.push(OperatorSetIdProto { domain: Some(String::new()), version: Some(13) });
    }
    Ok(notes)
}

/// How many classes a map has, and some of them.
fn classes(node: &NodeProto) -> (usize, String) {
    const SHOWN: usize = 8;
    let of = |name: &str| node.attribute.iter().find(|attribute| attribute.name() == name);
    let shown = |attribute: &AttributeProto| {
        let ints = attribute.ints.iter().map(ToString::to_string);
        let texts = attribute.strings.iter().map(|text| text.escape_ascii().to_string());
        let count = attribute.ints.len().max(attribute.strings.len());
        let list = ints.chain(texts).take(SHOWN).collect::<Vec<_>>().join(", ");
        (count, if count > SHOWN { format!("{list} and {} more", count - SHOWN) } else { list })
    };
    let lists = ["classlabels_int64s", "classlabels_strings"].into_iter().filter_map(of).map(shown);
    lists.max_by_key(|(count, _)| *count).unwrap_or_default()
}

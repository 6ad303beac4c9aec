//! Outputs that are declared other than they are: one label however many rows, one number however many targets.

use super::{FREE_LENGTHS, ImportOptions, batch, made_up};
use crate::{
    Error, ErrorKind, InferenceRuntime as _, Model, Result,
    onnx::{
        OnnxModel, check,
        graph::value_info,
        proto::{GraphProto, ModelProto, NodeProto},
    },
    runtime::{LoadOptions, native},
    signature::{Dim, TensorSpec},
    tensor::DType,
};
use prost::Message as _;

/// Declares the outputs as they are, a note for each that was declared otherwise: by inference where every operator is
/// known, else by what a runtime gives for a few rows.
pub(super) fn mend(model: &mut ModelProto, options: &ImportOptions) -> Result<Vec<String>> {
    let inputs = check::inputs(model)?;
    let found = match native::infer(model, &inputs) {
        Ok(found) => Some(found.into_iter().map(|spec| Found { dtype: Some(spec.dtype), shape: spec.shape }).collect()),
        Err(error) if error.kind() == ErrorKind::Unsupported => observe(model, &inputs, options)?,
        Err(error) => return Err(error),
    };
    let Some(found): Option<Vec<Found>> = found else {
        // What no shape is declared for cannot be called; what is declared wrongly shows in the first call.
        return Ok(Vec::new());
    };
    let graph = graph(model)?;
    let mut notes = Vec::new();
    for (declared, found) in graph.output.iter_mut().zip(found) {
        let before = check::spec(declared).ok();
        let Some(dtype) = found.dtype.or(before.as_ref().map(|spec| spec.dtype)) else { continue };
        let shape = match &before {
            Some(before) => reconcile(before, found.shape, batch(&inputs)),
            None => found.shape,
        };
        let after = TensorSpec { name: declared.name().to_owned(), dtype, shape };
        if before.as_ref() != Some(&after) {
            let was = before.map_or_else(|| "nothing that can be called".into(), |spec| shown(&spec));
            notes.push(format!("output {} was declared as {was}: it is {}", after.name.escape_debug(), shown(&after)));
            *declared = value_info(&after);
        }
    }
    Ok(notes)
}

/// What an output is.
struct Found {
    dtype: Option<DType>,
    shape: Vec<Dim>,
}

fn graph(model: &mut ModelProto) -> Result<&mut GraphProto> {
    model.graph.as_mut().ok_or_else(|| Error::corrupt("the model has no graph"))
}

fn shown(spec: &TensorSpec) -> String {
    let dims: Vec<String> = spec.shape.iter().map(|dim| dim.to_string().escape_debug().to_string()).collect();
    format!("{} [{}]", spec.dtype, dims.join(", "))
}

/// The declared dimensions, but for those that are not so. A name for a length that differs between calls stays.
fn reconcile(declared: &TensorSpec, found: Vec<Dim>, batch: Option<&str>) -> Vec<Dim> {
    if declared.shape.len() != found.len() {
        return found;
    }
    let is_batch = |dim: &Dim| matches!(dim, Dim::Named(name) if Some(name.as_str()) == batch);
    let dims = declared.shape.iter().zip(found).enumerate();
    dims.map(|(axis, (declared, found))| match (declared, &found) {
        (Dim::Fixed(_), _) => found,
        // The first dimension is the rows under whatever name.
        (Dim::Named(_), Dim::Named(_)) if axis == 0 || is_batch(declared) == is_batch(&found) => declared.clone(),
        // A length that was never seen to differ may differ all the same, unless it is said to be that of the rows.
        (Dim::Named(_), Dim::Fixed(_)) if !is_batch(declared) => declared.clone(),
        _ => found,
    })
    .collect()
}

/// The shapes that the first runtime gives that runs the model, for two rows and for three: the outputs are replaced by
/// their shapes, which any runtime gives whatever the graph declares.
fn observe(model: &ModelProto, inputs: &[TensorSpec], options: &ImportOptions) -> Result<Option<Vec<Found>>> {
    let mut probe = model.clone();
    let graph = graph(&mut probe)?;
    let outputs: Vec<String> =
        std::mem::take(&mut graph.output).iter().map(|output| output.name().to_owned()).collect();
    for (at, output) in outputs.iter().enumerate() {
        let mut name = format!("shape_of_output_{at}");
        while graph.node.iter().any(|node| node.output.contains(&name)) || outputs.contains(&name) {
            name.push('_');
        }
        graph.node.push(NodeProto {
            op_type: Some("Shape".into()),
            input: vec![output.clone()],
            output: vec![name.clone()],
            ..NodeProto::default()
        });
        let rank = Dim::Named(format!("rank_of_output_{at}"));
        graph.output.push(value_info(&TensorSpec { name, dtype: DType::Int64, shape: vec![rank] }));
    }
    let probe = OnnxModel::from_bytes(probe.encode_to_vec())?;
    let seen = options.runtimes.iter().find_map(|runtime| {
        let loaded = runtime.load(&probe, &LoadOptions::default()).ok()?.model;
        FREE_LENGTHS.into_iter().find_map(|free| {
            let [two, three] = [2, 3].map(|rows| shapes(&*loaded, inputs, rows, free));
            Some((two?, three?))
        })
    });
    let Some((two, three)) = seen else { return Ok(None) };
    let batch = batch(inputs);
    let found = two.into_iter().zip(three).enumerate().map(|(at, (two, three))| {
        if two.len() != three.len() {
            return Err(Error::unsupported("an output has another rank for other rows").with("output", at));
        }
        let dim = |(axis, (two, three)): (usize, (usize, usize))| match batch {
            Some(batch) if (two, three) == (2, 3) => Dim::Named(batch.to_owned()),
            _ if two == three => Dim::Fixed(two),
            _ => Dim::Named(format!("output_{at}_{axis}")),
        };
        Ok(Found { dtype: None, shape: two.into_iter().zip(three).enumerate().map(dim).collect() })
    });
    found.collect::<Result<_>>().map(Some)
}

/// The shapes that a probe gives.
fn shapes(probe: &dyn Model, inputs: &[TensorSpec], rows: usize, free: usize) -> Option<Vec<Vec<usize>>> {
    let outputs = probe.predict(&made_up(inputs, rows, free).ok()??).ok()?;
    let shape = |spec: &TensorSpec| {
        let shape = outputs.get(&spec.name)?.values::<i64>().ok()?;
        shape.iter().map(|length| usize::try_from(*length).ok()).collect()
    };
    probe.signature().outputs().iter().map(shape).collect()
}

//! Running a model with the values inside it as outputs.

use super::range::{Range, RangeMethod, Seen};
use crate::{
    Dataset, Error, InferenceRuntime, Model, Result, Signature, Tensors,
    onnx::{
        OnnxModel, check,
        proto::{
            ModelProto, TensorShapeProto, TypeProto, ValueInfoProto, tensor_proto::DataType, tensor_shape_proto,
            type_proto,
        },
    },
    optimize::{
        network::{Network, node, with_int},
        rows,
    },
    runtime::LoadOptions,
};
use prost::Message as _;
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

/// Rows like those that the model will see, and the runtime that it is run with to measure activations.
///
/// ```
/// use ml_core::{Tensor, Tensors, optimize::Calibration, runtime::native::NativeRuntime};
/// use std::sync::Arc;
///
/// let rows = Tensors::new().with("x", Tensor::column(vec![1.0_f32, 2.0]))?;
/// let calibration = Calibration::new(Arc::new(NativeRuntime), vec![rows])?;
/// assert!(Calibration::new(Arc::new(NativeRuntime), vec![]).is_err());
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Calibration {
    runtime: Arc<dyn InferenceRuntime>,
    batches: Vec<Tensors>,
}

impl Calibration {
    /// Measures on these batches, each the inputs of one call. Some hundred rows are enough for most models.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when there are no batches.
    pub fn new(runtime: Arc<dyn InferenceRuntime>, batches: Vec<Tensors>) -> Result<Self> {
        if batches.is_empty() {
            return Err(Error::invalid_input("no rows to measure activations on"));
        }
        Ok(Self { runtime, batches })
    }

    /// Measures on the first rows of a data set, at most `limit` of them, in calls of `batch` rows each. How columns
    /// become inputs is said at [`inputs`](crate::optimize::inputs).
    ///
    /// # Errors
    /// As [`inputs`](crate::optimize::inputs); [`InvalidInput`](crate::ErrorKind::InvalidInput) when there are no rows.
    pub fn from_dataset(
        runtime: Arc<dyn InferenceRuntime>,
        signature: &Signature,
        data: &Dataset,
        limit: usize,
        batch: usize,
    ) -> Result<Self> {
        let all = rows::inputs(signature, data, limit)?;
        let batch = batch.max(1);
        let starts = (0..all.rows()).step_by(batch);
        let batches = starts.map(|start| all.slice_rows(start..all.rows().min(start + batch)));
        Self::new(runtime, batches.collect::<Result<_>>()?)
    }

    /// The range of each value: inputs of the model, and what its nodes give.
    pub(super) fn ranges(
        &self,
        model: &OnnxModel,
        network: &Network,
        values: &BTreeSet<String>,
        method: RangeMethod,
    ) -> Result<HashMap<String, Range>> {
        let (probed, outputs) = probe(model, network, values)?;
        let loaded = self.runtime.load(&probed, &LoadOptions::default())?.model;
        let mut seen: HashMap<&str, Seen> = values.iter().map(|value| (value.as_str(), Seen::default())).collect();
        self.visit(loaded.as_ref(), &outputs, &mut seen, Seen::widen)?;
        if method.needs_histogram() {
            self.visit(loaded.as_ref(), &outputs, &mut seen, |seen, values| {
                seen.count(values);
                Ok(())
            })?;
        }
        Ok(seen.into_iter().map(|(value, seen)| (value.to_owned(), seen.range(method))).collect())
    }

    fn visit(
        &self,
        model: &dyn Model,
        outputs: &HashMap<String, String>,
        seen: &mut HashMap<&str, Seen>,
        mut note: impl FnMut(&mut Seen, &[f32]) -> Result<()>,
    ) -> Result<()> {
        for batch in &self.batches {
            let given = model.predict(batch)?;
            for (value, seen) in &mut *seen {
                let tensor = match outputs.get(*value) {
                    Some(output) => given.require(output)?,
                    None => batch.require(value)?,
                };
                note(seen, tensor.values::<f32>()?).map_err(|error| error.with("tensor", value.escape_debug()))?;
            }
        }
        Ok(())
    }
}

/// The model with values as further outputs, and the name of the output for each.
///
/// An output has to say how many dimensions it has, which a value inside a graph need not. `Flatten` makes two of any
/// number of them and keeps the rows.
fn probe(
    model: &OnnxModel,
    network: &Network,
    values: &BTreeSet<String>,
) -> Result<(OnnxModel, HashMap<String, String>)> {
    let mut proto: ModelProto = check::decode(&model.bytes)?;
    let graph = proto.graph.as_mut().ok_or_else(|| Error::corrupt("the model has no graph"))?;
    let inputs: BTreeSet<&str> = network.graph.input.iter().map(|input| input.name()).collect();
    let mut outputs = HashMap::new();
    for value in values.iter().filter(|value| !inputs.contains(value.as_str())) {
        let output = network.unused(&format!("{value}_seen"));
        graph.node.push(with_int(node("Flatten", [value.as_str()], [output.as_str()]), "axis", 1));
        graph.output.push(matrix(&output));
        outputs.insert(value.clone(), output);
    }
    Ok((OnnxModel::from_bytes(proto.encode_to_vec())?, outputs))
}

/// An output of single precision and two dimensions of any length.
fn matrix(name: &str) -> ValueInfoProto {
    use tensor_shape_proto::{Dimension, dimension::Value};
    let dim = |axis: &str| Dimension { value: Some(Value::DimParam(format!("{name}_{axis}"))), ..Dimension::default() };
    let tensor = type_proto::Tensor {
        elem_type: Some(DataType::Float.into()),
        shape: Some(TensorShapeProto { dim: vec![dim("rows"), dim("width")] }),
    };
    ValueInfoProto {
        name: Some(name.into()),
        r#type: Some(TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() }),
        ..ValueInfoProto::default()
    }
}

//! Weights and activations in 8 bits, with ranges measured beforehand.

mod calibration;
mod range;

pub use calibration::Calibration;
pub use range::RangeMethod;

use super::{
    Applied, Changes, Pass,
    network::{self, Network, node, pass_over, with_int},
    quantize::{Channels, Codes},
};
use crate::{
    Error, Result, Tensor,
    onnx::{OnnxModel, proto::NodeProto},
};
use range::Range;
use std::collections::{BTreeSet, HashMap, HashSet};

/// The 8 bits of activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActivationType {
    /// 0 to 255 with a zero point: all codes are used also where activations are never negative.
    Uint8,
    /// -127 to 127 around zero, as graphics processors ask for.
    Int8,
}

/// How [`StaticInt8`] quantizes.
#[derive(Debug, Clone, PartialEq)]
pub struct StaticInt8Params {
    /// How the range of an activation follows from what was seen. [`RangeMethod::MinMax`] by default.
    pub method: RangeMethod,
    /// The codes of activations. [`ActivationType::Uint8`] by default, which processors are quickest with.
    pub activations: ActivationType,
    /// Layers with fewer weights stay as they are. 256 by default.
    pub min_elements: usize,
}

impl Default for StaticInt8Params {
    fn default() -> Self {
        Self { method: RangeMethod::MinMax, activations: ActivationType::Uint8, min_elements: 256 }
    }
}

/// Converts dense layers and convolutions to 8 bits, with the ranges of activations measured on data of the host.
///
/// The model is written in the QDQ form: `QuantizeLinear` and `DequantizeLinear` stand around each activation, and
/// `DequantizeLinear` behind weights (one scale a channel) and biases (32 bits, in the product of both scales), which
/// runtimes and accelerators fuse into operators on whole numbers. Results of `Softmax` are left out: what lies close to
/// zero there decides, and has no code of its own. It needs `ai.onnx` 13 or later.
///
/// Ranges hold for inputs like those of the calibration: others are cut off, so measure on other rows, and put an
/// [`AccuracyGate`](super::AccuracyGate) behind it.
///
/// ```
/// use ml_core::{
///     Tensors, onnx::graph::{Domain, GraphBuilder}, optimize::{Calibration, StaticInt8},
///     runtime::native::NativeRuntime, tensor::Tensor,
/// };
/// use std::sync::Arc;
///
/// let rows = Tensors::new().with("x", Tensor::new([100, 2], (0..200).map(|i| i as f32).collect())?)?;
/// let calibration = Calibration::new(Arc::new(NativeRuntime), vec![rows])?;
/// let pass = StaticInt8::new(Default::default(), calibration)?;
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct StaticInt8 {
    params: StaticInt8Params,
    calibration: Calibration,
}

impl StaticInt8 {
    /// Keeps parameters and data.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when a percentile is not a share above 0 and up to 1.
    pub fn new(params: StaticInt8Params, calibration: Calibration) -> Result<Self> {
        params.method.check()?;
        Ok(Self { params, calibration })
    }

    /// The layers that can be quantized, by position in the graph.
    fn layers(&self, network: &Network, changes: &mut Changes) -> Result<HashMap<usize, Layer>> {
        let mut layers = HashMap::new();
        let softmax: HashSet<&str> = network
            .graph
            .node
            .iter()
            .filter(|node| matches!(network.op(node), Some(("", "Softmax" | "LogSoftmax"))))
            .flat_map(|node| &node.output)
            .map(String::as_str)
            .collect();
        for (at, node) in network.graph.node.iter().enumerate() {
            let Some(("", op @ ("MatMul" | "Gemm" | "Conv"))) = network.op(node) else { continue };
            let (Some(x), Some(w)) = (node.input.first(), node.input.get(1)) else {
                return Err(Error::corrupt("the operator takes two inputs or more").with("node", network::label(node)));
            };
            let named = |error: Error| error.with("node", network::label(node));
            let Some((shape, values)) = network.floats(w)? else { continue };
            let transposed = op == "Gemm" && network::int(node, "transB", 0).map_err(named)? != 0;
            let axis = if op == "Conv" || transposed { 0 } else { 1 };
            let reason = if network.constant(x).is_some() {
                Some("its activation is constant")
            } else if softmax.contains(x.as_str()) {
                Some("its activation is a softmax")
            } else if op == "Gemm" && network::int(node, "transA", 0).map_err(named)? != 0 {
                Some("its activation is transposed")
            } else if values.len() < self.params.min_elements.max(1) {
                Some("its weights are few")
            } else if (op == "Conv" && shape.len() < 3) || (op != "Conv" && shape.len() != 2) {
                Some("its weights are of another number of dimensions")
            } else {
                None
            };
            match reason {
                Some(reason) => pass_over(changes, node, reason),
                None => {
                    layers.insert(at, Layer { is_conv: op == "Conv", axis });
                }
            }
        }
        Ok(layers)
    }
}

/// A layer that is quantized.
#[derive(Debug, Clone, Copy)]
struct Layer {
    is_conv: bool,
    /// The dimension of the weights that belongs to the outputs.
    axis: usize,
}

impl Pass for StaticInt8 {
    fn name(&self) -> &'static str {
        "int8-static"
    }

    /// # Errors
    /// As [`Pass::apply`] and as the runtime of the calibration; [`Unsupported`](crate::ErrorKind::Unsupported) for
    /// `ai.onnx` before 13; [`InvalidInput`](crate::ErrorKind::InvalidInput) for weights and activations that are NaN or
    /// infinite.
    fn apply(&self, model: &OnnxModel) -> Result<Applied> {
        let network = Network::open(model)?;
        network.require_opset(13)?;
        let mut changes = Changes::default();
        let layers = self.layers(&network, &mut changes)?;
        if layers.is_empty() {
            return Ok(Applied { model: network.finish(&model.signature)?, changes });
        }
        let flow = Flow::of(&network);
        let readers = network.readers();
        // Values that get codes: what layers read, and what convolutions give, which are worth it only with both.
        let mut coded: BTreeSet<String> = BTreeSet::new();
        let mut made_in_codes: HashSet<String> = HashSet::new();
        for (at, layer) in &layers {
            let node = &network.graph.node[*at];
            coded.extend(node.input.first().cloned());
            if layer.is_conv {
                made_in_codes.extend(node.output.first().map(|output| flow.behind_clamp(&network, &readers, output)));
            }
        }
        coded.extend(made_in_codes.iter().cloned());
        // What only moves elements keeps their codes, so what it reads has the same ones.
        let origins: HashMap<String, String> =
            coded.iter().map(|value| (value.clone(), flow.origin(&network, value))).collect();
        coded.extend(origins.values().filter(|origin| flow.is_made(origin)).cloned());
        let observed: BTreeSet<String> = origins.values().chain(&coded).cloned().collect();
        let ranges = self.calibration.ranges(model, &network, &observed, self.params.method)?;
        changes.add("activations measured", ranges.len() as u64);
        let mut conversion =
            Conversion { network, ranges, origins, changes, codes: HashMap::new(), read_as: HashMap::new() };
        let nodes = std::mem::take(&mut conversion.network.graph.node);
        let mut converted = Vec::with_capacity(nodes.len());
        let inputs: Vec<String> = conversion.network.graph.input.iter().map(|input| input.name().to_owned()).collect();
        for input in inputs.iter().filter(|input| coded.contains(*input)) {
            converted.extend(self.round_trip(&mut conversion, input)?);
        }
        for (at, mut node) in nodes.into_iter().enumerate() {
            let named = |error: Error, node: &NodeProto| error.with("node", network::label(node));
            if let Some(layer) = layers.get(&at) {
                let before = node.clone();
                converted
                    .extend(self.layer(&mut conversion, &mut node, *layer).map_err(|error| named(error, &before))?);
            } else if !network::has_graphs(&node) {
                // Others go on with the numbers themselves, unless these would be computed for them alone.
                let moves = moves_elements(&conversion.network, &node);
                for input in &mut node.input {
                    if let Some(read_as) =
                        conversion.read_as.get(input).filter(|_| moves || made_in_codes.contains(input))
                    {
                        input.clone_from(read_as);
                    }
                }
            }
            let made: Vec<String> = node.output.iter().filter(|output| coded.contains(*output)).cloned().collect();
            converted.push(node);
            for output in made {
                converted.extend(self.round_trip(&mut conversion, &output)?);
            }
        }
        let Conversion { mut network, changes, .. } = conversion;
        network.graph.node = converted;
        Ok(Applied { model: network.finish(&model.signature)?, changes })
    }
}

impl StaticInt8 {
    /// Codes for a value and numbers for the codes, which readers read from then on.
    fn round_trip(&self, conversion: &mut Conversion, value: &str) -> Result<[NodeProto; 2]> {
        let scale = conversion.codes_of(value, self.params.activations)?;
        let codes = conversion.network.fresh(&format!("{value}_codes"));
        let numbers = conversion.network.fresh(&format!("{value}_numbers"));
        conversion.read_as.insert(value.to_owned(), numbers.clone());
        Ok([
            node("QuantizeLinear", [value, &scale.scale, &scale.zero_point], [codes.as_str()]),
            node("DequantizeLinear", [codes.as_str(), &scale.scale, &scale.zero_point], [numbers.as_str()]),
        ])
    }

    /// Weights and bias of a layer as codes.
    fn layer(&self, conversion: &mut Conversion, of: &mut NodeProto, layer: Layer) -> Result<Vec<NodeProto>> {
        let mut added = Vec::new();
        let (x, w) = (of.input[0].clone(), of.input[1].clone());
        let activation = conversion.codes_of(&x, self.params.activations)?;
        if let Some(read_as) = conversion.read_as.get(&x) {
            of.input[0].clone_from(read_as);
        }
        let (alpha, beta) = if of.op_type() == "Gemm" {
            let factors = (network::float(of, "alpha", 1.0)?, network::float(of, "beta", 1.0)?);
            of.attribute.retain(|attribute| !matches!(attribute.name(), "alpha" | "beta"));
            factors
        } else {
            (1.0, 1.0)
        };
        let network = &mut conversion.network;
        let (shape, mut values) =
            network.floats(&w)?.ok_or_else(|| Error::internal("the weights of a layer are no constant any more"))?;
        values.iter_mut().for_each(|value| *value *= alpha);
        let rows = shape[0];
        let channels = if layer.axis == 0 {
            Channels::Rows { rows, width: values.len() / rows.max(1) }
        } else {
            Channels::Columns(shape[1])
        };
        let coded = Codes::of(&values, channels, 127).map_err(|error| error.with("tensor", w.escape_debug()))?;
        let count = coded.scales.len();
        let codes = network.add_constant(&format!("{w}_int8"), &Tensor::new(shape, coded.codes)?);
        let scales = network.add_constant(&format!("{w}_scales"), &Tensor::new([count], coded.scales.clone())?);
        let zero = network.add_constant(&format!("{w}_zero_points"), &Tensor::new([count], vec![0_i8; count])?);
        let numbers = network.fresh(&format!("{w}_numbers"));
        let axis = i64::try_from(layer.axis).map_err(|_| Error::internal("an axis beyond the number of dimensions"))?;
        added.push(with_int(node("DequantizeLinear", [&codes, &scales, &zero], [&numbers]), "axis", axis));
        of.input[1] = numbers;
        if let Some(bias) = of.input.get(2).filter(|bias| !bias.is_empty()).cloned() {
            let scales: Vec<f32> = coded.scales.iter().map(|scale| scale * activation.step).collect();
            of.input[2] = bias_codes(network, &bias, beta, &scales, &mut added)?;
        }
        conversion.changes.add(if layer.is_conv { "convolutions to int8" } else { "dense layers to int8" }, 1);
        Ok(added)
    }
}

/// A bias times `beta`, in 32 bits with the scales of the sums that it is added to; in single precision where it is none
/// of one number a channel, or too large for its scale.
fn bias_codes(
    network: &mut Network,
    name: &str,
    beta: f32,
    scales: &[f32],
    added: &mut Vec<NodeProto>,
) -> Result<String> {
    let Some((shape, values)) = network.floats(name)? else {
        #[expect(clippy::float_cmp, reason = "exactly one changes nothing")]
        if beta == 1.0 {
            return Ok(name.to_owned());
        }
        let beta = network.add_constant(&format!("{name}_beta"), &Tensor::new([], vec![beta])?);
        let scaled = network.fresh(&format!("{name}_scaled"));
        added.push(node("Mul", [name, &beta], [scaled.as_str()]));
        return Ok(scaled);
    };
    let values: Vec<f32> = values.into_iter().map(|value| value * beta).collect();
    let codes: Option<Vec<i32>> = values
        .iter()
        .zip(scales)
        .map(|(value, scale)| {
            let code = (f64::from(*value) / f64::from(*scale)).round();
            #[expect(clippy::cast_possible_truncation, reason = "within 32 bits")]
            (code.abs() < f64::from(i32::MAX)).then_some(code as i32)
        })
        .collect();
    match codes {
        Some(codes) if shape.len() == 1 && codes.len() == scales.len() => {
            let count = codes.len();
            let codes = network.add_constant(&format!("{name}_int32"), &Tensor::new(shape, codes)?);
            let scales = network.add_constant(&format!("{name}_scales"), &Tensor::new([count], scales.to_vec())?);
            let zero = network.add_constant(&format!("{name}_zero_points"), &Tensor::new([count], vec![0_i32; count])?);
            let numbers = network.fresh(&format!("{name}_numbers"));
            added.push(with_int(node("DequantizeLinear", [&codes, &scales, &zero], [&numbers]), "axis", 0));
            Ok(numbers)
        }
        _ => Ok(network.add_constant(name, &Tensor::new(shape, values)?)),
    }
}

/// Scale and zero point of an activation.
#[derive(Debug, Clone)]
struct Scale {
    step: f32,
    scale: String,
    zero_point: String,
}

struct Conversion {
    network: Network,
    ranges: HashMap<String, Range>,
    /// The value whose codes a value has: itself, or what it is moved from.
    origins: HashMap<String, String>,
    changes: Changes,
    /// By the name of the origin.
    codes: HashMap<String, Scale>,
    /// What readers of a value read instead.
    read_as: HashMap<String, String>,
}

impl Conversion {
    fn codes_of(&mut self, value: &str, of: ActivationType) -> Result<Scale> {
        let origin = self.origins.get(value).map_or(value, String::as_str).to_owned();
        if let Some(known) = self.codes.get(&origin) {
            return Ok(known.clone());
        }
        let range = self.ranges.get(&origin).ok_or_else(|| Error::internal("an activation was not measured"))?;
        let (step, zero) = match of {
            ActivationType::Uint8 => {
                let (step, zero) = range.unsigned();
                (step, Tensor::new([], vec![zero])?)
            }
            ActivationType::Int8 => (range.signed(), Tensor::new([], vec![0_i8])?),
        };
        let scale = Scale {
            step,
            scale: self.network.add_constant(&format!("{origin}_scale"), &Tensor::new([], vec![step])?),
            zero_point: self.network.add_constant(&format!("{origin}_zero_point"), &zero),
        };
        self.codes.insert(origin, scale.clone());
        Ok(scale)
    }
}

/// Whether what a node gives is made of elements that it reads.
fn moves_elements(network: &Network, node: &NodeProto) -> bool {
    matches!(
        network.op(node),
        Some(("", "Flatten" | "Identity" | "MaxPool" | "Reshape" | "Squeeze" | "Transpose" | "Unsqueeze"))
    )
}

/// Which node makes a value.
struct Flow {
    makers: HashMap<String, usize>,
    inputs: HashSet<String>,
}

impl Flow {
    fn of(network: &Network) -> Self {
        let nodes = network.graph.node.iter().enumerate();
        let makers = nodes.flat_map(|(at, node)| node.output.iter().map(move |output| (output.clone(), at))).collect();
        Self { makers, inputs: network.graph.input.iter().map(|input| input.name().to_owned()).collect() }
    }

    fn is_made(&self, value: &str) -> bool {
        self.makers.contains_key(value) || self.inputs.contains(value)
    }

    /// What a value is moved from, element by element.
    fn origin(&self, network: &Network, value: &str) -> String {
        let mut value = value.to_owned();
        while let Some(&at) = self.makers.get(&value) {
            let maker = &network.graph.node[at];
            let moves = moves_elements(network, maker);
            match maker.input.first().filter(|input| moves && network.constant(input).is_none() && !input.is_empty()) {
                Some(input) if maker.output.first() == Some(&value) => value.clone_from(input),
                _ => break,
            }
        }
        value
    }

    /// The result of the `Relu` or `Clip` that alone reads a value, else the value: runtimes do both at once.
    fn behind_clamp(&self, network: &Network, readers: &network::Readers, value: &str) -> String {
        if let [at] = readers.nodes(value)
            && !readers.is_pinned(value)
            && let node = &network.graph.node[*at]
            && matches!(network.op(node), Some(("", "Relu" | "Clip")))
            && let Some(output) = node.output.first()
        {
            return output.clone();
        }
        value.to_owned()
    }
}

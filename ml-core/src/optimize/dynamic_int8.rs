//! Weights in 8 bits, activations measured as they come.

use super::{
    Applied, Changes, Pass,
    network::{self, Network, cast, node, pass_over},
    quantize::{Channels, Codes, ScaledCodes},
};
use crate::{
    Error, Result, Tensor,
    onnx::{
        OnnxModel,
        proto::{NodeProto, TensorProto, tensor_proto::DataType},
    },
};
use std::collections::{HashMap, HashSet};

/// What [`DynamicInt8`] converts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DynamicInt8Params {
    /// Whether the tables of `Gather` are converted as well, with one scale a row. They are most of a small language
    /// model's bytes and none of its time. True by default.
    pub embeddings: bool,
    /// Weights in 7 bits rather than 8. Processors without dot products of bytes (x86 before VNNI) add two products in
    /// 16 bits and cut them off; 7 bits have room. False by default.
    pub reduce_range: bool,
    /// Matrices of fewer elements stay as they are; the nodes around a quantized matrix take some hundred bytes and
    /// their time. 1,024 by default.
    pub min_elements: usize,
}

impl Default for DynamicInt8Params {
    fn default() -> Self {
        Self { embeddings: true, reduce_range: false, min_elements: 1024 }
    }
}

/// Converts the constant matrices of `MatMul` and `Gemm`, and the tables of `Gather`, to 8-bit whole numbers.
///
/// Weights are symmetric with one scale a column (a row for tables), fitted by least squares. An activation is quantized
/// as it comes, once for all that read it, by `DynamicQuantizeLinear`; the product is a `MatMulInteger`, scaled back to
/// single precision. This is the form that ONNX Runtime fuses into one operator, and that its own dynamic quantization
/// with `per_channel` writes; no data are needed. It needs `ai.onnx` 11 or later.
///
/// ```
/// use ml_core::{
///     onnx::graph::{Domain, GraphBuilder}, optimize::{DynamicInt8, Pass},
///     signature::TensorSpec, tensor::{DType, Tensor},
/// };
///
/// let mut graph = GraphBuilder::new("dense");
/// let x = graph.input(TensorSpec::batched("x", DType::Fp32, [64]))?;
/// let w = graph.initializer(Tensor::new([64, 256], (0..64 * 256).map(|i| (i as f32).sin()).collect())?);
/// let y = graph.node(Domain::Onnx, "MatMul", &[x, w], vec![]);
/// graph.output(y, TensorSpec::batched("y", DType::Fp32, [256]))?;
/// let model = graph.finish()?;
///
/// let applied = DynamicInt8::new(Default::default())?.apply(&model)?;
/// assert_eq!(applied.changes.count("matrices to int8"), 1);
/// assert!(applied.model.bytes.len() * 3 < model.bytes.len());
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct DynamicInt8 {
    params: DynamicInt8Params,
}

impl DynamicInt8 {
    /// Keeps the parameters.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when the least number of elements is zero.
    pub fn new(params: DynamicInt8Params) -> Result<Self> {
        if params.min_elements == 0 {
            return Err(Error::invalid_input("a matrix without elements has no codes").with("min_elements", 0));
        }
        Ok(Self { params })
    }
}

impl Pass for DynamicInt8 {
    fn name(&self) -> &'static str {
        "int8-dynamic"
    }

    /// # Errors
    /// As [`Pass::apply`]; [`InvalidInput`](crate::ErrorKind::InvalidInput) for a weight that is NaN or infinite,
    /// [`Unsupported`](crate::ErrorKind::Unsupported) for `ai.onnx` before 11.
    fn apply(&self, model: &OnnxModel) -> Result<Applied> {
        let mut network = Network::open(model)?;
        network.require_opset(11)?;
        let tables = if self.params.embeddings { tables(&network) } else { HashSet::new() };
        let nodes = std::mem::take(&mut network.graph.node);
        let mut conversion = Conversion {
            network,
            params: &self.params,
            nodes: Vec::with_capacity(nodes.len()),
            changes: Changes::default(),
            activations: HashMap::new(),
            weights: HashMap::new(),
            tables: HashMap::new(),
        };
        for node in nodes {
            let named = |error: Error| error.with("node", network::label(&node));
            if conversion.network.is(&node, "", "MatMul") {
                conversion.mat_mul(&node).map_err(named)?;
            } else if conversion.network.is(&node, "", "Gemm") {
                conversion.gemm(&node).map_err(named)?;
            } else if conversion.network.is(&node, "", "Gather")
                && node.input.first().is_some_and(|table| tables.contains(table))
            {
                conversion.gather(&node).map_err(named)?;
            } else {
                conversion.nodes.push(node);
            }
        }
        let Conversion { mut network, nodes, changes, .. } = conversion;
        network.graph.node = nodes;
        Ok(Applied { model: network.finish(&model.signature)?, changes })
    }
}

/// Constants of single precision and two dimensions that only `Gather` along the first reads.
fn tables(network: &Network) -> HashSet<String> {
    let readers = network.readers();
    let gathers = |(node, name): (&NodeProto, &str)| {
        network.is(node, "", "Gather")
            && network::int(node, "axis", 0).is_ok_and(|axis| axis == 0)
            && node.input.iter().position(|input| input == name) == Some(0)
    };
    let is_table = |constant: &&TensorProto| {
        let name = constant.name();
        let nodes = readers.nodes(name).iter().map(|&at| (&network.graph.node[at], name));
        constant.data_type() == DataType::Float as i32
            && constant.dims.len() == 2
            && !readers.is_pinned(name)
            && nodes.clone().count() > 0
            && nodes.clone().all(gathers)
    };
    network.graph.initializer.iter().filter(is_table).map(|table| table.name().to_owned()).collect()
}

/// A weight that has been converted.
#[derive(Debug, Clone)]
struct Weight {
    codes: String,
    scales: String,
}

/// A table that has been converted.
#[derive(Debug, Clone)]
struct Table {
    codes: String,
    scales: String,
    /// What one of the scales' codes stands for.
    unit: String,
}

/// A quantized activation.
#[derive(Debug, Clone)]
struct Activation {
    codes: String,
    scale: String,
    zero_point: String,
}

struct Conversion<'a> {
    network: Network,
    params: &'a DynamicInt8Params,
    nodes: Vec<NodeProto>,
    changes: Changes,
    /// By the name of the value.
    activations: HashMap<String, Activation>,
    /// By name, whether it is transposed, and the factor on it.
    weights: HashMap<(String, bool, u32), Weight>,
    tables: HashMap<String, Table>,
}

impl Conversion<'_> {
    fn mat_mul(&mut self, of: &NodeProto) -> Result<()> {
        let ([x, w], [y]) = (of.input.as_slice(), of.output.as_slice()) else {
            return Err(Error::corrupt("the operator takes two inputs and gives one output"));
        };
        match self.weight(of, x, w, false, 1.0)? {
            Some(weight) => self.product(x, &weight, y),
            None => self.nodes.push(of.clone()),
        }
        Ok(())
    }

    fn gemm(&mut self, of: &NodeProto) -> Result<()> {
        let (Some(x), Some(w), [y]) = (of.input.first(), of.input.get(1), of.output.as_slice()) else {
            return Err(Error::corrupt("the operator takes two or three inputs and gives one output"));
        };
        let (alpha, beta) = (network::float(of, "alpha", 1.0)?, network::float(of, "beta", 1.0)?);
        if network::int(of, "transA", 0)? != 0 {
            pass_over(&mut self.changes, of, "its activation is transposed");
            self.nodes.push(of.clone());
            return Ok(());
        }
        let transposed = network::int(of, "transB", 0)? != 0;
        let Some(weight) = self.weight(of, x, w, transposed, alpha)? else {
            self.nodes.push(of.clone());
            return Ok(());
        };
        match of.input.get(2).filter(|bias| !bias.is_empty()) {
            None => self.product(x, &weight, y),
            Some(bias) => {
                let product = self.network.fresh(&format!("{y}_product"));
                self.product(x, &weight, &product);
                let bias = self.bias(bias, beta)?;
                self.nodes.push(node("Add", [product, bias], [y.clone()]));
            }
        }
        Ok(())
    }

    /// The bias times beta: a constant of its own where it is constant.
    fn bias(&mut self, name: &str, beta: f32) -> Result<String> {
        #[expect(clippy::float_cmp, reason = "exactly one changes nothing")]
        if beta == 1.0 {
            return Ok(name.to_owned());
        }
        if let Some((shape, values)) = self.network.floats(name)? {
            let scaled = Tensor::new(shape, values.into_iter().map(|value| value * beta).collect())?;
            return Ok(self.network.add_constant(name, &scaled));
        }
        let beta = self.network.add_constant(&format!("{name}_beta"), &Tensor::new([], vec![beta])?);
        let scaled = self.network.fresh(&format!("{name}_scaled"));
        self.nodes.push(node("Mul", [name, &beta], [scaled.as_str()]));
        Ok(scaled)
    }

    /// `x` times the weight, scaled back, as `y`.
    fn product(&mut self, x: &str, weight: &Weight, y: &str) {
        let x = self.activation(x);
        let sums = self.network.fresh(&format!("{y}_sums"));
        let floats = self.network.fresh(&format!("{y}_floats"));
        let scale = self.network.fresh(&format!("{y}_scale"));
        self.nodes.extend([
            // Weights without zero points are symmetric: a list of zeros would be read at every call.
            node("MatMulInteger", [&x.codes, &weight.codes, &x.zero_point], [&sums]),
            cast(&sums, &floats, DataType::Float),
            node("Mul", [&x.scale, &weight.scales], [&scale]),
            node("Mul", [floats.as_str(), &scale], [y]),
        ]);
    }

    /// Quantizes an activation where it is read first.
    fn activation(&mut self, name: &str) -> Activation {
        if let Some(known) = self.activations.get(name) {
            return known.clone();
        }
        let activation = Activation {
            codes: self.network.fresh(&format!("{name}_codes")),
            scale: self.network.fresh(&format!("{name}_scale")),
            zero_point: self.network.fresh(&format!("{name}_zero_point")),
        };
        let outputs = [&activation.codes, &activation.scale, &activation.zero_point].map(String::as_str);
        self.nodes.push(node("DynamicQuantizeLinear", [name], outputs));
        self.activations.insert(name.to_owned(), activation.clone());
        activation
    }

    /// The codes of a constant matrix; none, with a reason in the report, when the node stays as it is.
    fn weight(&mut self, of: &NodeProto, x: &str, name: &str, transposed: bool, factor: f32) -> Result<Option<Weight>> {
        let key = (name.to_owned(), transposed, factor.to_bits());
        if let Some(known) = self.weights.get(&key) {
            self.changes.add("matrices to int8", 1);
            return Ok(Some(known.clone()));
        }
        if self.network.constant(x).is_some() {
            pass_over(&mut self.changes, of, "its activation is constant");
            return Ok(None);
        }
        if self.network.constant(name).is_none() {
            // A product of two activations, as in attention; there is nothing to make smaller.
            return Ok(None);
        }
        let Some((shape, values)) = self.network.floats(name)? else {
            pass_over(&mut self.changes, of, "its weights are not of single precision");
            return Ok(None);
        };
        let &[rows, columns] = shape.as_slice() else {
            pass_over(&mut self.changes, of, "its weights are no matrix");
            return Ok(None);
        };
        if values.len() < self.params.min_elements {
            pass_over(&mut self.changes, of, "its weights are few");
            return Ok(None);
        }
        let (rows, columns, mut values) =
            if transposed { (columns, rows, transpose(&values, columns)) } else { (rows, columns, values) };
        values.iter_mut().for_each(|value| *value *= factor);
        let limit = if self.params.reduce_range { 63 } else { 127 };
        let coded = Codes::of(&values, Channels::Columns(columns), limit)
            .map_err(|error| error.with("tensor", name.escape_debug()))?;
        let weight = Weight {
            codes: self.network.add_constant(&format!("{name}_int8"), &Tensor::new([rows, columns], coded.codes)?),
            scales: self.network.add_constant(&format!("{name}_scales"), &Tensor::new([columns], coded.scales)?),
        };
        self.weights.insert(key, weight.clone());
        self.changes.add("matrices to int8", 1);
        Ok(Some(weight))
    }

    /// Rows of the table as codes, times their scales, which are codes themselves: a table has many rows.
    fn gather(&mut self, of: &NodeProto) -> Result<()> {
        let ([table, rows], [y]) = (of.input.as_slice(), of.output.as_slice()) else {
            return Err(Error::corrupt("the operator takes two inputs and gives one output"));
        };
        let Some(weight) = self.table(of, table)? else {
            self.nodes.push(of.clone());
            return Ok(());
        };
        self.changes.add("embeddings to int8", 1);
        let names = ["codes", "floats", "scale_codes", "scale_floats", "scales"];
        let [codes, floats, scale_codes, scale_floats, scales] =
            names.map(|name| self.network.fresh(&format!("{y}_{name}")));
        self.nodes.extend([
            node("Gather", [&weight.codes, rows], [&codes]),
            cast(&codes, &floats, DataType::Float),
            node("Gather", [&weight.scales, rows], [&scale_codes]),
            cast(&scale_codes, &scale_floats, DataType::Float),
            node("Mul", [&scale_floats, &weight.unit], [&scales]),
            node("Mul", [&floats, &scales], [y]),
        ]);
        Ok(())
    }

    /// The codes of a table; none, with a reason in the report, when it stays as it is.
    fn table(&mut self, of: &NodeProto, name: &str) -> Result<Option<Table>> {
        if let Some(known) = self.tables.get(name) {
            return Ok(Some(known.clone()));
        }
        let Some((shape, values)) = self.network.floats(name)? else {
            return Err(Error::internal("a table is no constant of single precision"));
        };
        let &[rows, width] = shape.as_slice() else {
            return Err(Error::internal("a table is no matrix"));
        };
        if values.len() < self.params.min_elements {
            pass_over(&mut self.changes, of, "its table is small");
            return Ok(None);
        }
        let coded = ScaledCodes::of(&values, Channels::Rows { rows, width }, 127)
            .map_err(|error| error.with("tensor", name.escape_debug()))?;
        let table = Table {
            codes: self.network.add_constant(&format!("{name}_int8"), &Tensor::new([rows, width], coded.codes)?),
            scales: self.network.add_constant(&format!("{name}_scales"), &Tensor::new([rows, 1], coded.scales)?),
            unit: self.network.add_constant(&format!("{name}_unit"), &Tensor::new([], vec![coded.unit])?),
        };
        self.tables.insert(name.to_owned(), table.clone());
        Ok(Some(table))
    }
}

/// A row-major matrix of rows of `width`, columns first.
fn transpose<T: Copy>(values: &[T], width: usize) -> Vec<T> {
    (0..width).flat_map(|column| values.iter().skip(column).step_by(width.max(1)).copied()).collect()
}

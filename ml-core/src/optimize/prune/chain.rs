//! Two layers and what lies between them, where units of the first can be taken out.

use crate::{
    Result,
    onnx::proto::NodeProto,
    optimize::network::{Network, Readers, attribute, int},
};

/// A layer whose outputs only another layer reads, element by element.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) from: Layer,
    /// Constants with one element a unit, such as a bias.
    pub(super) vectors: Vec<String>,
    pub(super) to: Layer,
    /// Elements of the second layer's input for each unit: more than one where feature maps are laid out in a row.
    pub(super) elements_per_unit: usize,
    /// The values between the layers, whose shapes change.
    pub(super) values: Vec<String>,
}

/// The weights of a layer, and the dimension of them that belongs to the units.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    pub(super) weights: String,
    pub(super) axis: usize,
}

/// Operators that work on each element for itself.
const ELEMENTWISE: [&str; 20] = [
    "Abs",
    "Celu",
    "Dropout",
    "Elu",
    "Erf",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "LeakyRelu",
    "Mish",
    "Neg",
    "Relu",
    "Selu",
    "Sigmoid",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Tanh",
    "ThresholdedRelu",
];

/// Operators that work on each feature map for itself.
const MAPWISE: [&str; 4] = ["AveragePool", "GlobalAveragePool", "GlobalMaxPool", "MaxPool"];

/// The constant of this name, when one node and nothing else reads it.
fn own(network: &Network, readers: &Readers, name: Option<&String>) -> Option<(String, Vec<usize>)> {
    let name = name?;
    let (shape, _) = network.floats(name).ok()??;
    (readers.nodes(name).len() == 1 && !readers.is_pinned(name)).then(|| (name.clone(), shape))
}

/// Where a chain stands while it is followed.
struct Walk<'a> {
    network: &'a Network,
    readers: &'a Readers,
    units: usize,
    is_map: bool,
    /// Whether feature maps have been laid out in a row.
    flattened: bool,
    vectors: Vec<String>,
    values: Vec<String>,
}

impl Chain {
    /// The chain that begins with a node; none when the graph does not prove that units can go.
    pub(super) fn from(network: &Network, readers: &Readers, start: &NodeProto) -> Result<Option<Self>> {
        let (is_map, axis) = match network.op(start) {
            Some(("", "MatMul")) => (false, 1),
            Some(("", "Gemm")) => (false, usize::from(int(start, "transB", 0)? == 0)),
            Some(("", "Conv")) if int(start, "group", 1)? == 1 => (true, 0),
            _ => return Ok(None),
        };
        let Some((weights, shape)) = own(network, readers, start.input.get(1)) else { return Ok(None) };
        if !is_map && shape.len() != 2 || is_map && shape.len() < 3 {
            return Ok(None);
        }
        let mut walk = Walk {
            network,
            readers,
            units: shape[axis],
            is_map,
            flattened: false,
            vectors: Vec::new(),
            values: Vec::new(),
        };
        if let Some(bias) = start.input.get(2).filter(|bias| !bias.is_empty())
            && !walk.vector(bias)
        {
            return Ok(None);
        }
        let [output] = start.output.as_slice() else { return Ok(None) };
        let mut value = output.clone();
        loop {
            let Some(next) = walk.only_reader(&value) else { return Ok(None) };
            walk.values.push(value.clone());
            if let Some((to, elements_per_unit)) = walk.end(next, &value)? {
                let Walk { vectors, values, .. } = walk;
                let from = Layer { weights, axis };
                return Ok(Some(Self { from, vectors, to, elements_per_unit, values }));
            }
            if !walk.passes(next, &value)? {
                return Ok(None);
            }
            value.clone_from(&next.output[0]);
        }
    }
}

impl<'a> Walk<'a> {
    fn only_reader(&self, value: &str) -> Option<&'a NodeProto> {
        match self.readers.nodes(value) {
            [at] if !self.readers.is_pinned(value) => Some(&self.network.graph.node[*at]),
            _ => None,
        }
    }

    /// Whether a constant has one element a unit and no other reader, or one for all; the former is noted.
    fn vector(&mut self, name: &String) -> bool {
        let Some((name, shape)) = own(self.network, self.readers, Some(name)) else { return false };
        let is_vector = shape.iter().product::<usize>() == self.units && shape.contains(&self.units);
        if is_vector {
            self.vectors.push(name);
        }
        is_vector
    }

    /// The second layer, when the node is one that reads the value along the units.
    fn end(&self, node: &NodeProto, value: &str) -> Result<Option<(Layer, usize)>> {
        let (inputs_axis, rank) = match self.network.op(node) {
            Some(("", "MatMul")) => (0, 2),
            Some(("", "Gemm")) if int(node, "transA", 0)? == 0 => (usize::from(int(node, "transB", 0)? != 0), 2),
            Some(("", "Conv")) if self.is_map && !self.flattened && int(node, "group", 1)? == 1 => (1, 0),
            _ => return Ok(None),
        };
        if node.input.first().is_none_or(|input| input != value) || (self.is_map && !self.flattened && rank == 2) {
            return Ok(None);
        }
        let Some((weights, shape)) = own(self.network, self.readers, node.input.get(1)) else { return Ok(None) };
        if rank == 2 && shape.len() != 2 || rank == 0 && shape.len() < 3 {
            return Ok(None);
        }
        let inputs = shape[inputs_axis];
        let per_unit = inputs.checked_div(self.units).unwrap_or(0);
        // Only maps in a row have several elements for each unit.
        let fits = per_unit * self.units == inputs && per_unit > 0 && (per_unit == 1 || self.flattened);
        Ok(fits.then_some((Layer { weights, axis: inputs_axis }, per_unit)))
    }

    /// Whether the units stay apart in a node, one behind the other.
    fn passes(&mut self, node: &NodeProto, value: &str) -> Result<bool> {
        let Some(("", op)) = self.network.op(node) else { return Ok(false) };
        if node.output.iter().skip(1).any(|output| self.readers.has(output)) || node.output.is_empty() {
            return Ok(false);
        }
        let first = node.input.first().is_some_and(|input| input == value);
        Ok(match op {
            _ if ELEMENTWISE.contains(&op) => first,
            "Clip" => first,
            _ if MAPWISE.contains(&op) => first && self.is_map && !self.flattened,
            "Flatten" => {
                let along = first && self.is_map && !self.flattened && int(node, "axis", 1)? == 1;
                self.flattened |= along;
                along
            }
            "Add" | "Mul" | "Sub" | "Div" if !self.is_map => {
                let other = node.input.iter().find(|input| *input != value).cloned();
                let vector = |(_, shape): (String, Vec<usize>)| shape.last() == Some(&self.units);
                let along = own(self.network, self.readers, other.as_ref()).is_some_and(vector);
                along && other.is_some_and(|other| self.vector(&other))
            }
            "BatchNormalization" if first && self.is_map && !self.flattened => {
                attribute(node, "training_mode").is_none_or(|mode| mode.i() == 0)
                    && node.input.len() == 5
                    && node.input[1..].to_vec().iter().all(|constant| self.vector(constant))
            }
            _ => false,
        })
    }
}

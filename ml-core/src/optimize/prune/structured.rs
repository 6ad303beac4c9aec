//! Whole units taken out of dense layers, and whole feature maps out of convolutions.

use super::{
    chain::{Chain, Layer},
    check_finite, check_fraction, share_of,
};
use crate::{
    Error, Result, Tensor,
    onnx::{OnnxModel, tensor},
    optimize::{
        Applied, Changes, Pass,
        network::{self, Network},
    },
};
use std::collections::HashSet;

/// How much [`StructuredPrune`] takes out.
#[derive(Debug, Clone, PartialEq)]
pub struct StructuredPruneParams {
    /// The share of the units of each layer, from 0 to below 1; at least one unit stays. 0.25 by default.
    pub fraction: f64,
}

impl Default for StructuredPruneParams {
    fn default() -> Self {
        Self { fraction: 0.25 }
    }
}

/// Takes whole hidden units out of dense layers, and whole feature maps out of convolutions.
///
/// Of each layer those go whose weights in and out are smallest: the product of both L2 norms, which does not change when
/// a unit is scaled before a `Relu` and scaled back behind it. The weights of both layers shrink, and so does all between
/// them, so the model is smaller and faster on any runtime.
///
/// Only where the graph proves that nothing else sees the units: the first layer is a `MatMul`, `Gemm` or `Conv` (of one
/// group) with constant weights of its own; between are activations element by element, a bias, batch normalization,
/// pooling and `Flatten`, each the only reader of the one before it; behind is another such layer. Outputs of the model
/// keep their shape.
///
/// ```
/// use ml_core::{
///     onnx::graph::{Domain, GraphBuilder}, optimize::{Pass, StructuredPrune, StructuredPruneParams},
///     signature::TensorSpec, tensor::{DType, Tensor},
/// };
///
/// let mut graph = GraphBuilder::new("two layers");
/// let x = graph.input(TensorSpec::batched("x", DType::Fp32, [8]))?;
/// let (w, v) = (Tensor::new([8, 100], vec![0.5_f32; 800])?, Tensor::new([100, 2], vec![0.5_f32; 200])?);
/// let (w, v) = (graph.initializer(w), graph.initializer(v));
/// let hidden = graph.node(Domain::Onnx, "MatMul", &[x, w], vec![]);
/// let hidden = graph.node(Domain::Onnx, "Relu", &[hidden], vec![]);
/// let y = graph.node(Domain::Onnx, "MatMul", &[hidden, v], vec![]);
/// graph.output(y, TensorSpec::batched("y", DType::Fp32, [2]))?;
///
/// let applied = StructuredPrune::new(StructuredPruneParams { fraction: 0.4 })?.apply(&graph.finish()?)?;
/// assert_eq!(applied.changes.to_string(), "layers: 1, units taken out: 40, weights taken out: 400");
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct StructuredPrune {
    params: StructuredPruneParams,
}

impl StructuredPrune {
    /// Keeps the parameters.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for a share below 0 or of 1 and more.
    pub fn new(params: StructuredPruneParams) -> Result<Self> {
        check_fraction(params.fraction)?;
        Ok(Self { params })
    }

    /// Takes units out of one layer.
    fn prune(&self, network: &mut Network, chain: &Chain, changes: &mut Changes) -> Result<()> {
        let from = Matrix::read(network, &chain.from)?;
        let to = Matrix::read(network, &chain.to)?;
        let units = from.units();
        let mut importance: Vec<(f64, usize)> = (0..units)
            .map(|unit| {
                let out = (0..chain.elements_per_unit).map(|part| to.square(unit * chain.elements_per_unit + part));
                (from.square(unit) * out.sum::<f64>(), unit)
            })
            .collect();
        importance.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let count = share_of(units, self.params.fraction).min(units.saturating_sub(1));
        if count == 0 {
            return Ok(());
        }
        let gone: HashSet<usize> = importance.iter().take(count).map(|(_, unit)| *unit).collect();
        let before = from.values.len() + to.values.len();
        let from = from.without(|unit| gone.contains(&unit));
        let to = to.without(|element| gone.contains(&(element / chain.elements_per_unit)));
        changes.add("layers", 1);
        changes.add("units taken out", count as u64);
        changes.add("weights taken out", (before - from.values.len() - to.values.len()) as u64);
        from.write(network, &chain.from)?;
        to.write(network, &chain.to)?;
        for name in &chain.vectors {
            let (mut shape, values) =
                network.floats(name)?.ok_or_else(|| Error::internal("a bias is no constant any more"))?;
            let kept: Vec<f32> = values
                .into_iter()
                .enumerate()
                .filter(|(unit, _)| !gone.contains(unit))
                .map(|(_, value)| value)
                .collect();
            if let Some(axis) = shape.iter().position(|length| *length == units) {
                shape[axis] = kept.len();
            }
            network.put_constant(tensor::to_proto(name.clone(), &Tensor::new(shape, kept)?));
        }
        // Declared shapes of what lies between are those of before.
        network.graph.value_info.retain(|value| chain.values.iter().all(|name| name != value.name()));
        Ok(())
    }
}

impl Pass for StructuredPrune {
    fn name(&self) -> &'static str {
        "prune-units"
    }

    /// # Errors
    /// As [`Pass::apply`]; [`InvalidInput`](crate::ErrorKind::InvalidInput) for a weight that is NaN or infinite.
    fn apply(&self, model: &OnnxModel) -> Result<Applied> {
        let mut network = Network::open(model)?;
        let mut changes = Changes::default();
        let readers = network.readers();
        for at in 0..network.graph.node.len() {
            let node = &network.graph.node[at];
            let named = |error: Error| error.with("node", network::label(node));
            let chain = Chain::from(&network, &readers, node).map_err(named)?;
            if let Some(chain) = chain {
                self.prune(&mut network, &chain, &mut changes)?;
            }
        }
        Ok(Applied { model: network.finish(&model.signature)?, changes })
    }
}

/// Weights seen along one dimension: `outer` × `length` × `inner`.
struct Matrix {
    shape: Vec<usize>,
    axis: usize,
    values: Vec<f32>,
}

impl Matrix {
    fn read(network: &Network, layer: &Layer) -> Result<Self> {
        let (shape, values) = network
            .floats(&layer.weights)?
            .ok_or_else(|| Error::internal("the weights of a layer are no constant any more"))?;
        check_finite(&layer.weights, &values)?;
        Ok(Self { shape, axis: layer.axis, values })
    }

    fn units(&self) -> usize {
        self.shape[self.axis]
    }

    fn inner(&self) -> usize {
        self.shape[self.axis + 1..].iter().product()
    }

    /// Where along the dimension an element of the list is.
    fn place(&self, element: usize) -> usize {
        element / self.inner() % self.units()
    }

    /// The sum of the squares at one place.
    fn square(&self, place: usize) -> f64 {
        let (inner, units) = (self.inner(), self.units());
        let outer = self.values.len() / (inner * units).max(1);
        (0..outer)
            .flat_map(|row| &self.values[(row * units + place) * inner..][..inner])
            .map(|value| f64::from(*value).powi(2))
            .sum()
    }

    fn without(&self, gone: impl Fn(usize) -> bool) -> Self {
        let keeps = |(element, _): &(usize, &f32)| !gone(self.place(*element));
        let values = self.values.iter().enumerate().filter(keeps).map(|(_, value)| *value).collect();
        let mut shape = self.shape.clone();
        shape[self.axis] = (0..self.units()).filter(|place| !gone(*place)).count();
        Self { shape, axis: self.axis, values }
    }

    fn write(self, network: &mut Network, layer: &Layer) -> Result<()> {
        network.put_constant(tensor::to_proto(layer.weights.clone(), &Tensor::new(self.shape, self.values)?));
        Ok(())
    }
}

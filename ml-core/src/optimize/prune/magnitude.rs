//! Single weights set to zero.

use super::{check_finite, check_fraction, share_of};
use crate::{
    Result, Tensor,
    onnx::{OnnxModel, tensor},
    optimize::{Applied, Changes, Pass, network::Network},
};
use std::collections::BTreeSet;

/// How much [`MagnitudePrune`] sets to zero.
#[derive(Debug, Clone, PartialEq)]
pub struct MagnitudePruneParams {
    /// The share of weights, from 0 to below 1. 0.5 by default.
    pub fraction: f64,
    /// Whether the smallest weights of all layers go, so that a layer of small weights loses more; otherwise every layer
    /// loses the same share. True by default.
    pub global: bool,
}

impl Default for MagnitudePruneParams {
    fn default() -> Self {
        Self { fraction: 0.5, global: true }
    }
}

/// Sets the smallest weights of dense layers and convolutions to zero (Han et al. 2015, "Learning both weights and
/// connections").
///
/// The file stays as large and a call as slow: zeros pay where the file is compressed, or where a runtime has kernels for
/// sparse weights. To make a model smaller and faster by itself, see [`StructuredPrune`](super::StructuredPrune).
///
/// ```
/// use ml_core::optimize::{MagnitudePrune, MagnitudePruneParams};
///
/// let half = MagnitudePrune::new(MagnitudePruneParams::default())?;
/// assert!(MagnitudePrune::new(MagnitudePruneParams { fraction: 1.0, global: false }).is_err());
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct MagnitudePrune {
    params: MagnitudePruneParams,
}

impl MagnitudePrune {
    /// Keeps the parameters.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for a share below 0 or of 1 and more.
    pub fn new(params: MagnitudePruneParams) -> Result<Self> {
        check_fraction(params.fraction)?;
        Ok(Self { params })
    }
}

impl Pass for MagnitudePrune {
    fn name(&self) -> &'static str {
        "prune"
    }

    /// # Errors
    /// As [`Pass::apply`]; [`InvalidInput`](crate::ErrorKind::InvalidInput) for a weight that is NaN or infinite.
    fn apply(&self, model: &OnnxModel) -> Result<Applied> {
        let mut network = Network::open(model)?;
        let mut layers = Vec::new();
        for name in weights(&network) {
            if let Some((shape, values)) = network.floats(&name)? {
                check_finite(&name, &values)?;
                layers.push((name, shape, values));
            }
        }
        let before: usize = layers.iter().map(|(.., values)| zeros(values)).sum();
        if self.params.global {
            let all = layers.iter_mut().flat_map(|(.., values)| values).collect();
            prune(all, self.params.fraction);
        } else {
            for (.., values) in &mut layers {
                prune(values.iter_mut().collect(), self.params.fraction);
            }
        }
        let after: usize = layers.iter().map(|(.., values)| zeros(values)).sum();
        let mut changes = Changes::default();
        changes.add("weights set to zero", (after - before) as u64);
        for (name, shape, values) in layers {
            network.put_constant(tensor::to_proto(name, &Tensor::new(shape, values)?));
        }
        Ok(Applied { model: network.finish(&model.signature)?, changes })
    }
}

/// The constants that dense layers and convolutions multiply with, each once.
fn weights(network: &Network) -> BTreeSet<String> {
    let layer = |op: Option<(&str, &str)>| matches!(op, Some(("", "MatMul" | "Gemm" | "Conv" | "ConvTranspose")));
    let nodes = network.graph.node.iter().filter(|node| layer(network.op(node)));
    nodes.filter_map(|node| node.input.get(1)).filter(|name| network.constant(name).is_some()).cloned().collect()
}

fn zeros(values: &[f32]) -> usize {
    values.iter().filter(|value| **value == 0.0).count()
}

/// Sets a share of the weights to zero, the smallest; of equal ones the first.
fn prune(mut weights: Vec<&mut f32>, fraction: f64) {
    let count = share_of(weights.len(), fraction);
    // Stable, so that equal weights go in order.
    weights.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    weights.into_iter().take(count).for_each(|weight| *weight = 0.0);
}

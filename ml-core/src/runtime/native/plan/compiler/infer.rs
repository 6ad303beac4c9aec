//! What the outputs of a graph are, whatever it declares.

use super::Compiler;
use crate::{
    Error, Result,
    signature::{Dim, TensorSpec},
};

impl<'a> Compiler<'a> {
    /// The element types and shapes of the outputs, where every operator is known.
    pub(in super::super) fn infer(mut self, inputs: &'a [TensorSpec]) -> Result<Vec<TensorSpec>> {
        let rows = self.define_inputs(inputs)?.map(|(name, ..)| name);
        let graph = self.graph;
        graph.node.iter().try_for_each(|proto| self.lower(proto))?;
        let spec = |name: &'a str| {
            let operand = self.operand(name)?.ok_or_else(|| Error::corrupt("an output has no name"))?;
            let dim = |length: &super::Length| match (length.known(), length.count(), rows) {
                (Some(known), ..) => Dim::Fixed(known),
                (None, 1, Some(rows)) => Dim::Named(rows.to_owned()),
                (None, ..) => Dim::Named(length.to_string()),
            };
            let shape = operand.of.shape.iter().map(dim).collect();
            Ok(TensorSpec { name: name.to_owned(), dtype: operand.of.dtype, shape })
        };
        graph.output.iter().map(|output| output.name()).map(spec).collect()
    }
}

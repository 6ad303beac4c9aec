//! A batch of no rows, for engines that take no empty tensors.

use crate::{
    Result, Signature, Tensor, Tensors,
    signature::{Dim, TensorSpec},
    tensor::TensorData,
};

/// Outputs of no rows for inputs of no rows; `None` when there are rows, or the model does not go by rows.
///
/// Another dimension has the length that the inputs give its name, and none when only the engine could tell.
pub(super) fn outputs(signature: &Signature, inputs: &Tensors) -> Option<Result<Tensors>> {
    let batched = signature.is_batched() && !inputs.is_empty();
    let empty = || inputs.iter().all(|(_, tensor)| tensor.rows() == 0);
    (batched && empty()).then(|| {
        signature.outputs().iter().try_fold(Tensors::new(), |outputs, spec| {
            outputs.with(
                spec.name.as_str(),
                Tensor::from_data(shape(spec, signature, inputs), TensorData::zeros(spec.dtype, 0))?,
            )
        })
    })
}

fn shape(spec: &TensorSpec, signature: &Signature, inputs: &Tensors) -> Vec<usize> {
    let bound = |name: &str| {
        signature.inputs().iter().find_map(|input| {
            let axis = input.shape.iter().position(|dim| matches!(dim, Dim::Named(of) if of == name))?;
            inputs.get(&input.name)?.shape().get(axis).copied()
        })
    };
    let length = |(axis, dim): (usize, &Dim)| match dim {
        Dim::Named(_) if axis == 0 => 0,
        Dim::Named(name) => bound(name).unwrap_or(0),
        Dim::Fixed(length) => *length,
    };
    spec.shape.iter().enumerate().map(length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::DType;

    #[test]
    fn dimensions_are_those_of_the_inputs_and_of_the_signature() {
        let spec = |name: &str, shape: Vec<Dim>| TensorSpec { name: name.into(), dtype: DType::Fp32, shape };
        let inputs = vec![spec("x", vec!["batch".into(), "length".into()])];
        let given = vec![spec("y", vec!["batch".into(), "length".into(), 3.into(), "unknown".into()])];
        let signature = Signature::new(inputs, given).expect("valid");
        let of = |rows: usize| {
            let x = Tensor::new([rows, 5], vec![0.0_f32; rows * 5]).expect("five a row");
            outputs(&signature, &Tensors::new().with("x", x).expect("one name"))
        };
        let nothing = of(0).expect("no rows").expect("valid");
        assert_eq!(nothing.require("y").expect("declared").shape(), [0, 5, 3, 0]);
        signature.check_outputs(&nothing).expect("fits");
        assert!(of(1).is_none());
    }
}

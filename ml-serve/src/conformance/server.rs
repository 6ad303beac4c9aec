//! The contract of [`Server`], over a server that is ready and serves at least one model.

use crate::{Readiness, Request, ServedModel, Server};
use futures_util::{FutureExt, future::join};
use ml_core::{
    ErrorKind, Tensor, Tensors,
    id::{ModelName, Version},
    signature::{Dim, TensorSpec},
    tensor::{DType, TensorData},
};
use std::pin::pin;

/// Clause 1: all outputs of the signature, from the version named.
pub async fn outputs_fit_the_signature(subject: impl Server) {
    for model in served(&subject) {
        for rows in [0, 1, 3] {
            let response = subject.predict(request(&model, rows)).await.expect("valid");
            assert_eq!((&response.model, response.version), (&model.name, model.version));
            model.signature.check_outputs(&response.outputs).expect("outputs fit");
            let names: Vec<_> = response.outputs.iter().map(|(name, _)| name).collect();
            assert_eq!(names.len(), model.signature.outputs().len());
        }
    }
}

/// Clause 2: the outputs asked for, in that order, and as they are when all are asked for.
pub async fn requested_outputs_come_in_the_order_asked(subject: impl Server) {
    let model = first(&subject);
    let all = subject.predict(request(&model, 2)).await.expect("valid").outputs;
    let reversed: Vec<_> = model.signature.outputs().iter().rev().map(|spec| spec.name.clone()).collect();
    for count in 1..=reversed.len() {
        let wanted = &reversed[..count];
        let outputs = subject.predict(request(&model, 2).with_outputs(wanted)).await.expect("valid").outputs;
        assert_eq!(outputs.iter().map(|(name, _)| name).collect::<Vec<_>>(), wanted);
        for (name, tensor) in outputs.iter() {
            assert_eq!(tensor, all.require(name).expect("all outputs"));
        }
    }
}

/// Clause 3: the id given comes back; without one, each request gets another.
pub async fn ids_come_back(subject: impl Server) {
    let model = first(&subject);
    let response = subject.predict(request(&model, 1).with_id("flight-1545")).await.expect("valid");
    assert_eq!(response.id, "flight-1545");
    let one = subject.predict(request(&model, 1)).await.expect("valid").id;
    let other = subject.predict(request(&model, 1)).await.expect("valid").id;
    assert!(!one.is_empty() && one != other, "{one:?} {other:?}");
}

/// Clause 4: a version that is asked for answers.
pub async fn a_named_version_answers(subject: impl Server) {
    for model in served(&subject) {
        let response = subject.predict(request(&model, 1).with_version(model.version)).await.expect("valid");
        assert_eq!(response.version, model.version);
    }
}

/// Clause 5: what does not fit is refused, and does no harm.
pub async fn wrong_requests_are_refused(subject: impl Server) {
    let model = first(&subject);
    let valid = || request(&model, 2);
    let output = &model.signature.outputs()[0].name;
    let mut wrong = vec![
        valid().with_outputs(["no such output"]),
        valid().with_outputs([output, output]),
        Request { inputs: with(&valid().inputs, "no such input", Tensor::vector(vec![1.0_f32])), ..valid() },
    ];
    for spec in model.signature.inputs() {
        let tensor = valid().inputs.require(&spec.name).expect("made").clone();
        let deeper = [tensor.shape(), &[1]].concat();
        let reshaped = Tensor::from_data(deeper, tensor.data().clone()).expect("as many elements");
        let other = if spec.dtype == DType::Int64 { DType::Int32 } else { DType::Int64 };
        let retyped =
            Tensor::from_data(tensor.shape(), TensorData::zeros(other, tensor.len())).expect("as many elements");
        wrong.extend(
            [reshaped, retyped].map(|tensor| Request { inputs: with(&valid().inputs, &spec.name, tensor), ..valid() }),
        );
        let mut inputs = valid().inputs;
        inputs.remove(&spec.name);
        wrong.push(Request { inputs, ..valid() });
    }
    for request in wrong {
        let error = subject.predict(request.clone()).await.expect_err(&format!("wrong: {request:?}"));
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
    subject.predict(valid()).await.expect("the next request is answered");
}

/// Clause 6: what is not served is not found.
pub async fn unknown_models_are_not_found(subject: impl Server) {
    let model = first(&subject);
    let absent: ModelName = "no-such-model".parse().expect("a name");
    let last = Version::new(u32::MAX).expect("not zero");
    for (name, version) in [(absent, None), (model.name.clone(), Some(last))] {
        let error = subject.model(&name, version).expect_err("not served");
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        let request = Request { model: name, version, ..request(&model, 1) };
        let error = subject.predict(request).await.expect_err("not served");
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    }
}

/// Clause 7: the list and the single look agree, and no version is listed twice.
pub async fn listed_models_are_found(subject: impl Server) {
    let models = served(&subject);
    for (i, model) in models.iter().enumerate() {
        assert_eq!(&subject.model(&model.name, Some(model.version)).expect("listed"), model);
        let earlier = models[..i].iter().filter(|earlier| earlier.name == model.name);
        assert!(earlier.clone().all(|earlier| earlier.version != model.version), "{model:?} is listed twice");
        if earlier.count() == 0 {
            assert_eq!(&subject.model(&model.name, None).expect("listed"), model);
        }
    }
}

/// Clause 8: draining is not ready, is alive, and answers.
pub async fn draining_still_answers(subject: impl Server) {
    let model = first(&subject);
    subject.drain();
    assert_eq!(subject.readiness(), Readiness::Draining);
    subject.predict(request(&model, 1)).await.expect("still answered");
}

/// Clause 9: closed stays closed.
pub async fn closed_refuses(subject: impl Server) {
    let model = first(&subject);
    subject.close().await;
    subject.drain();
    assert_eq!(subject.readiness(), Readiness::Closed);
    let error = subject.predict(request(&model, 1)).await.expect_err("closed");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    subject.close().await;
}

/// Clause 10: what was begun is answered.
pub async fn what_was_begun_before_closing_is_answered(subject: impl Server) {
    let model = first(&subject);
    let mut begun = pin!(subject.predict(request(&model, 64)));
    // Polled once, so that it has begun.
    let answer = match begun.as_mut().now_or_never() {
        Some(answer) => {
            subject.close().await;
            answer
        }
        None => join(begun, subject.close()).await.0,
    };
    answer.expect("begun before it closed");
    assert_eq!(subject.readiness(), Readiness::Closed);
}

fn served(subject: &impl Server) -> Vec<ServedModel> {
    assert_eq!(subject.readiness(), Readiness::Ready, "the suite takes a server that is ready");
    let models = subject.models();
    assert!(!models.is_empty(), "the suite takes a server with a model");
    models
}

fn first(subject: &impl Server) -> ServedModel {
    served(subject).remove(0)
}

/// A request of zeros to the very version.
fn request(model: &ServedModel, rows: usize) -> Request {
    let mut inputs = Tensors::new();
    for spec in model.signature.inputs() {
        inputs.insert(&spec.name, input(spec, rows)).expect("names of a signature differ");
    }
    Request::new(model.name.clone(), inputs).with_version(model.version)
}

fn input(spec: &TensorSpec, rows: usize) -> Tensor {
    let shape: Vec<usize> = spec
        .shape
        .iter()
        .map(|dim| match dim {
            Dim::Fixed(length) => *length,
            Dim::Named(_) => rows,
        })
        .collect();
    let count = shape.iter().product();
    Tensor::from_data(shape, TensorData::zeros(spec.dtype, count)).expect("as many elements as the shape has")
}

fn with(inputs: &Tensors, name: &str, tensor: Tensor) -> Tensors {
    let mut inputs = inputs.clone();
    inputs.remove(name);
    inputs.insert(name, tensor).expect("taken out");
    inputs
}

/// Runs the suite of [`Server`](crate::Server) over a server that is ready and serves at least one model.
#[macro_export]
macro_rules! server_conformance {
    ($factory:expr $(, known_failures: [$($known:expr),* $(,)?])?) => {
        ::ml_core::conformance_tests! {
            $crate::conformance::server, $factory, [$($($known),*)?];
            outputs_fit_the_signature,
            requested_outputs_come_in_the_order_asked,
            ids_come_back,
            a_named_version_answers,
            wrong_requests_are_refused,
            unknown_models_are_not_found,
            listed_models_are_found,
            draining_still_answers,
            closed_refuses,
            what_was_begun_before_closing_is_answered,
        }
    };
}

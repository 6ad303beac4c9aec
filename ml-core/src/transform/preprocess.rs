//! From the columns of a table to one matrix.

use super::{FittedTransform, Fitting, Impute, OneHot, Pass, Standardize, Transform, inputs, state};
use crate::{
    Dataset, Error, Result, Signature, Tensor, Tensors,
    onnx::graph::{Attribute, Domain, GraphBuilder, Value},
    signature::TensorSpec,
    tensor::DType,
    trainer::{Checkpoint, FitContext, rows::RowReader},
};
use arrow::array::RecordBatch;
use serde::Serialize;
use std::{collections::HashMap, sync::Arc};

/// What is done to the features of a table before a trainer sees them: a chain of transforms over all number columns
/// together, and one over each text column.
///
/// By default a missing number becomes the mean, numbers are standardized, and text is one-hot encoded.
///
/// ```
/// use ml_core::transform::{Impute, OneHot, Preprocess, Standardize, encode::OneHotParams};
/// use std::sync::Arc;
///
/// let preprocess = Preprocess::default()
///     .with_numbers(vec![Arc::new(Impute::median()), Arc::new(Standardize)])
///     .with_text(vec![Arc::new(OneHot::new(OneHotParams { max_categories: 32 })?)]);
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Preprocess {
    numbers: Vec<Arc<dyn Transform>>,
    text: Vec<Arc<dyn Transform>>,
}

impl Default for Preprocess {
    fn default() -> Self {
        Self { numbers: vec![Arc::new(Impute::mean()), Arc::new(Standardize)], text: vec![Arc::new(OneHot::default())] }
    }
}

impl Preprocess {
    /// The same with another chain for number columns; with none they go to the trainer as they are.
    #[must_use]
    pub fn with_numbers(mut self, transforms: Vec<Arc<dyn Transform>>) -> Self {
        self.numbers = transforms;
        self
    }

    /// The same with another chain for each text column. Its last transform has to give numbers.
    #[must_use]
    pub fn with_text(mut self, transforms: Vec<Arc<dyn Transform>>) -> Self {
        self.text = transforms;
        self
    }

    /// Learns from the features of all rows of weight above zero.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput), naming the column, for data that cannot be learned from,
    /// [`Cancelled`](crate::ErrorKind::Cancelled).
    pub fn fit(&self, data: &Dataset, context: &FitContext) -> Result<FittedPreprocess> {
        let reader = RowReader::new(data)?;
        reader.survey(context)?;
        self.fit_rows(&reader, context)
    }

    /// [`Preprocess::fit`] over rows that are known to be there.
    pub(crate) fn fit_rows(&self, reader: &RowReader<'_>, context: &FitContext) -> Result<FittedPreprocess> {
        let specs = reader.inputs();
        let names = |dtype| specs.iter().filter(move |spec| spec.dtype == dtype).map(|spec| spec.name.clone());
        let numbers: Vec<String> = names(DType::Fp32).collect();
        let mut chains = Vec::new();
        if !numbers.is_empty() {
            chains.push(Chain::start(numbers, &self.numbers)?);
        }
        for column in names(DType::Bytes) {
            chains.push(Chain::start(vec![column], &self.text)?);
        }
        while chains.iter().any(|chain| chain.current.is_some()) {
            reader.for_each(context, |rows| {
                chains.iter_mut().try_for_each(|chain| chain.update(&rows.inputs, &rows.weights))
            })?;
            for chain in &mut chains {
                chain.finish(context)?;
            }
        }
        let groups: Vec<Group> = chains.into_iter().map(|chain| chain.group).collect();
        let columns: Vec<String> = groups.iter().flat_map(|group| group.columns().iter().cloned()).collect();
        if columns.is_empty() {
            return Err(Error::invalid_input("preprocessing leaves no column to learn from"));
        }
        Ok(FittedPreprocess { inputs: specs.to_vec(), groups, columns })
    }
}

/// A group whose transforms are being learned, one after the other.
struct Chain<'a> {
    group: Group,
    current: Option<Box<dyn Fitting>>,
    rest: std::slice::Iter<'a, Arc<dyn Transform>>,
}

impl<'a> Chain<'a> {
    fn start(members: Vec<String>, transforms: &'a [Arc<dyn Transform>]) -> Result<Self> {
        let mut chain = Self { group: Group { members, steps: Vec::new() }, current: None, rest: transforms.iter() };
        chain.next()?;
        Ok(chain)
    }

    fn next(&mut self) -> Result<()> {
        self.current = self.rest.next().map(|transform| transform.start(self.group.columns())).transpose()?;
        Ok(())
    }

    fn update(&mut self, inputs: &Tensors, weights: &[f64]) -> Result<()> {
        match &mut self.current {
            Some(fitting) => fitting.update(&self.group.apply(inputs)?, weights),
            None => Ok(()),
        }
    }

    fn finish(&mut self, context: &FitContext) -> Result<()> {
        match self.current.take().map(|fitting| fitting.finish(context.collective.as_ref())).transpose()? {
            Some(Pass::Done(step)) => {
                self.group.steps.push(step);
                self.next()
            }
            Some(Pass::Again(fitting)) => {
                self.current = Some(fitting);
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// Columns that go through a chain of transforms together.
#[derive(Debug, Clone)]
struct Group {
    members: Vec<String>,
    steps: Vec<Arc<dyn FittedTransform>>,
}

impl Group {
    fn columns(&self) -> &[String] {
        self.steps.last().map_or(&self.members, |step| step.columns())
    }

    fn apply(&self, inputs: &Tensors) -> Result<Tensor> {
        self.steps.iter().try_fold(self.block(inputs)?, |block, step| {
            let rows = block.rows();
            let block = step.apply(block)?;
            // Transforms come from outside too, and blocks are put together by these numbers.
            if block.shape() == [rows, step.columns().len()] {
                return Ok(block);
            }
            Err(Error::internal("a transform gives another block than it says")
                .with("expected", format!("{:?}", [rows, step.columns().len()]))
                .with("got", format!("{:?}", block.shape())))
        })
    }

    /// The members side by side.
    fn block(&self, inputs: &Tensors) -> Result<Tensor> {
        let first = inputs.require(&self.members[0])?;
        if self.members.len() == 1 {
            return Ok(first.clone());
        }
        let (rows, width) = (first.rows(), self.members.len());
        let mut values = vec![0.0_f32; rows * width];
        for (at, name) in self.members.iter().enumerate() {
            let column = inputs.require(name)?.values::<f32>()?;
            for (value, row) in column.iter().zip(values.chunks_exact_mut(width)) {
                row[at] = *value;
            }
        }
        Tensor::new([rows, width], values)
    }
}

/// A fitted [`Preprocess`].
#[derive(Debug, Clone)]
pub struct FittedPreprocess {
    inputs: Vec<TensorSpec>,
    groups: Vec<Group>,
    columns: Vec<String>,
}

impl FittedPreprocess {
    /// The tensors it takes, one a feature, in the order of the schema.
    #[must_use]
    pub fn inputs(&self) -> &[TensorSpec] {
        &self.inputs
    }

    /// The names of the columns of the matrix.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Makes the tensors it takes from the columns of the same names.
    ///
    /// # Errors
    /// As [`transform::inputs`](crate::transform::inputs).
    pub fn inputs_of(&self, batch: &RecordBatch) -> Result<Tensors> {
        // The output is not looked at; a signature cannot be without one.
        let output = TensorSpec::batched("", DType::Fp32, [self.columns.len()]);
        inputs(&Signature::new(self.inputs.clone(), vec![output])?, batch)
    }

    /// Makes the matrix: `FP32` of shape `(rows, columns)`.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when a tensor is missing or of another kind.
    pub fn apply(&self, inputs: &Tensors) -> Result<Tensor> {
        let blocks = self.groups.iter().map(|group| group.apply(inputs)).collect::<Result<Vec<_>>>()?;
        let blocks = match <[Tensor; 1]>::try_from(blocks) {
            Ok([only]) => {
                only.values::<f32>()?;
                return Ok(only);
            }
            Err(blocks) => blocks,
        };
        let (rows, width) = (inputs.rows(), self.columns.len());
        let mut values = vec![0.0_f32; rows * width];
        let mut from = 0;
        for block in blocks {
            let to = from + block.shape().get(1).copied().unwrap_or(1);
            let part = block.values::<f32>()?;
            for (row, source) in values.chunks_exact_mut(width).zip(part.chunks_exact((to - from).max(1))) {
                row[from..to].copy_from_slice(source);
            }
            from = to;
        }
        Tensor::new([rows, width], values)
    }

    /// Adds inputs and the nodes that make the matrix of them to a graph, and gives the matrix.
    ///
    /// # Errors
    /// As [`FittedTransform::emit`].
    pub fn emit(&self, graph: &mut GraphBuilder) -> Result<Value> {
        let mut values = HashMap::new();
        for spec in &self.inputs {
            values.insert(spec.name.as_str(), graph.input(spec.clone())?);
        }
        let blocks = self
            .groups
            .iter()
            .map(|group| {
                let members: Vec<Value> = group.members.iter().map(|name| values[name.as_str()]).collect();
                let block = concat(graph, &members);
                group.steps.iter().try_fold(block, |block, step| step.emit(graph, block))
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(concat(graph, &blocks))
    }

    /// What was learned, transform by transform.
    ///
    /// # Errors
    /// As [`FittedTransform::checkpoint`].
    pub fn checkpoint(&self) -> Result<Checkpoint> {
        #[derive(Serialize)]
        struct Saved<'a> {
            columns: &'a [String],
            steps: Vec<Checkpoint>,
        }
        let groups = self
            .groups
            .iter()
            .map(|group| {
                let steps = group.steps.iter().map(|step| step.checkpoint()).collect::<Result<_>>()?;
                Ok(Saved { columns: &group.members, steps })
            })
            .collect::<Result<Vec<_>>>()?;
        state("preprocess", &groups)
    }
}

fn concat(graph: &mut GraphBuilder, values: &[Value]) -> Value {
    match values {
        [only] => *only,
        values => graph.node(Domain::Onnx, "Concat", values, vec![Attribute::int("axis", 1)]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ErrorKind, Table, Trainer,
        collective::Collective,
        trainer::linear::{Ridge, RidgeParams},
    };
    use arrow::array::{ArrayRef, Float64Array, StringArray};

    /// Says that it gives some columns, and gives others.
    #[derive(Debug, Clone)]
    struct Odd {
        says: Vec<String>,
        gives: usize,
    }

    impl Transform for Odd {
        fn start(&self, _columns: &[String]) -> Result<Box<dyn Fitting>> {
            Ok(Box::new(self.clone()))
        }
    }

    impl Fitting for Odd {
        fn update(&mut self, _block: &Tensor, _weights: &[f64]) -> Result<()> {
            Ok(())
        }

        fn finish(self: Box<Self>, _collective: &dyn Collective) -> Result<Pass> {
            Ok(Pass::Done(Arc::new(*self)))
        }
    }

    impl FittedTransform for Odd {
        fn columns(&self) -> &[String] {
            &self.says
        }

        fn apply(&self, block: Tensor) -> Result<Tensor> {
            Tensor::new([block.rows(), self.gives], vec![1.0_f32; block.rows() * self.gives])
        }

        fn emit(&self, _graph: &mut GraphBuilder, block: Value) -> Result<Value> {
            Ok(block)
        }

        fn checkpoint(&self) -> Result<Checkpoint> {
            state("odd", &self.gives)
        }
    }

    fn fit(features: &[&str], says: usize, gives: usize) -> ErrorKind {
        let numbers = || Arc::new(Float64Array::from(vec![1.0, 2.0, 4.0])) as ArrayRef;
        let text = Arc::new(StringArray::from(vec!["a", "b", "a"])) as ArrayRef;
        let batch = RecordBatch::try_from_iter([("x", numbers()), ("word", text), ("y", numbers())]).expect("batch");
        let data = Dataset::new(Table::from(batch)).features(features).and_then(|data| data.label("y"));
        let odd = Odd { says: (0..says).map(|at| format!("odd {at}")).collect(), gives };
        let preprocess = Preprocess::default().with_numbers(vec![Arc::new(odd)]);
        let ridge = Ridge::new(RidgeParams::default()).expect("valid").with_preprocess(preprocess);
        ridge.fit(&data.expect("columns"), &FitContext::default()).expect_err("an odd transform").kind()
    }

    #[test]
    fn a_transform_that_leaves_no_column_is_refused() {
        assert_eq!(fit(&["x"], 0, 0), ErrorKind::InvalidInput);
    }

    #[test]
    fn a_transform_that_gives_other_columns_than_it_says_is_an_error_and_no_panic() {
        for features in [&["x"][..], &["x", "word"]] {
            assert_eq!(fit(features, 1, 9), ErrorKind::Internal);
            assert_eq!(fit(features, 9, 1), ErrorKind::Internal);
        }
    }
}

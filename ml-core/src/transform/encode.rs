//! Transforms that turn text into numbers.

use super::{FittedTransform, Fitting, Pass, Transform, gather_json, state};
use crate::{
    Error, Result, Tensor,
    collective::Collective,
    onnx::graph::{Attribute, Domain, GraphBuilder, Value},
    trainer::Checkpoint,
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::{collections::HashMap, sync::Arc};

/// Hyperparameters of [`OneHot`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OneHotParams {
    /// The most categories that get a column of their own; at least 1. The rarer ones share that of the unknown.
    pub max_categories: usize,
}

impl Default for OneHotParams {
    /// 256 categories.
    fn default() -> Self {
        Self { max_categories: 256 }
    }
}

/// Gives each category of one text column a column of zeros and ones, and one more to all that is unknown or too rare.
///
/// The most frequent categories by weight are kept, the first by bytes where they tie. The empty text, which is also
/// what null becomes, is a category like any other.
///
/// ```
/// use ml_core::{Tensor, collective::Solo, transform::{OneHot, Pass, Transform}};
///
/// let text = |words: &[&'static str]| Tensor::column(words.iter().map(|w| bytes::Bytes::from_static(w.as_bytes())).collect());
/// let mut fitting = OneHot::default().start(&["carrier".into()])?;
/// fitting.update(&text(&["UA", "AA", "UA"]), &[1.0; 3])?;
/// let Pass::Done(fitted) = fitting.finish(&Solo)? else { unreachable!("one pass is enough") };
/// assert_eq!(fitted.columns(), ["carrier=AA", "carrier=UA", "carrier (other)"]);
/// assert_eq!(fitted.apply(text(&["UA", "B6"]))?.values::<f32>()?, [0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct OneHot(OneHotParams);

impl OneHot {
    /// Checks the hyperparameters.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when no category may have a column.
    pub fn new(params: OneHotParams) -> Result<Self> {
        if params.max_categories == 0 {
            return Err(Error::invalid_input("at least one category needs a column").with("param", "max_categories"));
        }
        Ok(Self(params))
    }
}

impl Transform for OneHot {
    fn start(&self, columns: &[String]) -> Result<Box<dyn Fitting>> {
        let [column] = columns else {
            return Err(Error::invalid_input("one-hot encoding takes one column").with("columns", columns.len()));
        };
        Ok(Box::new(Counts { params: self.0, column: column.clone(), weights: HashMap::new(), size_bytes: 0 }))
    }
}

/// How much weight each category has.
#[derive(Debug)]
struct Counts {
    params: OneHotParams,
    column: String,
    weights: HashMap<Bytes, f64>,
    size_bytes: usize,
}

impl Counts {
    fn add(&mut self, category: &[u8], weight: f64) -> Result<()> {
        if let Some(sum) = self.weights.get_mut(category) {
            *sum += weight;
            return Ok(());
        }
        self.size_bytes += category.len();
        if self.weights.len() == MAX_DISTINCT || self.size_bytes > MAX_BYTES {
            return Err(Error::resource_exhausted(
                "a text column has too many different values to encode: is it an id?",
            )
            .with("column", &self.column)
            .with("limit", MAX_DISTINCT)
            .with("limit_bytes", MAX_BYTES));
        }
        // A copy: the bytes of the block are a view of its whole column, which would be kept alive.
        self.weights.insert(Bytes::copy_from_slice(category), weight);
        Ok(())
    }
}

impl Fitting for Counts {
    fn update(&mut self, block: &Tensor, weights: &[f64]) -> Result<()> {
        block.values::<Bytes>()?.iter().zip(weights).try_for_each(|(category, weight)| self.add(category, *weight))
    }

    fn finish(mut self: Box<Self>, collective: &dyn Collective) -> Result<Pass> {
        let own: Vec<(Bytes, f64)> = std::mem::take(&mut self.weights).into_iter().collect();
        self.size_bytes = 0;
        for part in gather_json(collective, own)? {
            part.iter().try_for_each(|(category, weight): &(Bytes, f64)| self.add(category, *weight))?;
        }
        let mut ranked: Vec<_> = self.weights.into_iter().collect();
        ranked.sort_unstable_by(|(a, x), (b, y)| y.total_cmp(x).then_with(|| a.cmp(b)));
        ranked.truncate(self.params.max_categories);
        let mut categories = ranked
            .into_iter()
            .map(|(category, _)| {
                String::from_utf8(category.into()).map_err(|source| {
                    Error::invalid_input("a category is not UTF-8").with("column", &self.column).with_source(source)
                })
            })
            .collect::<Result<Vec<_>>>()?;
        categories.sort_unstable();
        Ok(Pass::Done(Arc::new(OneHotEncoded::new(self.column, categories))))
    }
}

/// A fitted [`OneHot`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Categories", into = "Categories")]
pub struct OneHotEncoded {
    known: Categories,
    columns: Vec<String>,
}

/// What of a [`OneHotEncoded`] is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Categories {
    column: String,
    // In the order of bytes, so that a category is found by bisection.
    categories: Vec<String>,
}

impl TryFrom<Categories> for OneHotEncoded {
    type Error = Error;
    fn try_from(known: Categories) -> Result<Self> {
        if known.categories.is_empty() || known.categories.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(Error::corrupt("the categories are not in order").with("column", known.column));
        }
        Ok(Self::new(known.column, known.categories))
    }
}

impl From<OneHotEncoded> for Categories {
    fn from(encoded: OneHotEncoded) -> Self {
        encoded.known
    }
}

impl OneHotEncoded {
    fn new(column: String, categories: Vec<String>) -> Self {
        let columns = categories
            .iter()
            .map(|category| format!("{column}={category}"))
            .chain([format!("{column} (other)")])
            .collect();
        Self { known: Categories { column, categories }, columns }
    }

    /// The categories with a column of their own, in the order of the columns.
    #[must_use]
    pub fn categories(&self) -> &[String] {
        &self.known.categories
    }
}

impl FittedTransform for OneHotEncoded {
    fn columns(&self) -> &[String] {
        &self.columns
    }

    fn apply(&self, block: Tensor) -> Result<Tensor> {
        let (rows, width) = (block.rows(), self.columns.len());
        let mut values = vec![0.0_f32; rows * width];
        for (category, row) in block.values::<Bytes>()?.iter().zip(values.chunks_exact_mut(width)) {
            let found = self.known.categories.binary_search_by(|known| known.as_bytes().cmp(category));
            row[found.unwrap_or(width - 1)] = 1.0;
        }
        Tensor::new([rows, width], values)
    }

    fn emit(&self, graph: &mut GraphBuilder, block: Value) -> Result<Value> {
        let numbers = || (0_i64..).take(self.known.categories.len());
        let other = numbers().count();
        let other = i64::try_from(other).map_err(|_| Error::unsupported("too many categories for ONNX"))?;
        let index = graph.node(
            Domain::Ml,
            "LabelEncoder",
            &[block],
            vec![
                Attribute::strings("keys_strings", self.known.categories.iter().map(String::as_str)),
                Attribute::ints("values_int64s", numbers()),
                Attribute::int("default_int64", other),
            ],
        );
        let cube = graph.node(
            Domain::Ml,
            "OneHotEncoder",
            &[index],
            vec![Attribute::ints("cats_int64s", 0..=other), Attribute::int("zeros", 1)],
        );
        // From (batch, 1, categories) to (batch, categories), also for a batch of no rows.
        let rows = graph.initializer(Tensor::vector(vec![-1_i64, other + 1]));
        Ok(graph.node(Domain::Onnx, "Reshape", &[cube, rows], vec![]))
    }

    fn checkpoint(&self) -> Result<Checkpoint> {
        state("one_hot", self)
    }
}

/// The most different values that are counted before a column is taken for an id.
const MAX_DISTINCT: usize = 1 << 20;

/// The most bytes that the different values may have together.
const MAX_BYTES: usize = 256 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collective::Solo;

    fn text<S: AsRef<str>>(words: &[S]) -> Tensor {
        Tensor::column(words.iter().map(|w| Bytes::copy_from_slice(w.as_ref().as_bytes())).collect())
    }

    fn fit<S: AsRef<str>>(max_categories: usize, words: &[S], weights: &[f64]) -> Arc<dyn FittedTransform> {
        let mut fitting =
            OneHot::new(OneHotParams { max_categories }).expect("valid").start(&["c".into()]).expect("one column");
        fitting.update(&text(words), weights).expect("text");
        let Pass::Done(fitted) = fitting.finish(&Solo).expect("counted") else { panic!("one pass") };
        fitted
    }

    #[test]
    fn ten_thousand_categories_are_bounded_to_the_most_frequent() {
        let mut words: Vec<String> = (0..10_000).map(|i| format!("{i:05}")).collect();
        words.extend(["09999".into(), "05000".into()]);
        let fitted = fit(3, &words, &vec![1.0; words.len()]);
        assert_eq!(fitted.columns(), ["c=00000", "c=05000", "c=09999", "c (other)"]);
        let row = fitted.apply(text(&["00001"])).expect("text");
        assert_eq!(row.values::<f32>().expect("numbers"), [0.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn weights_decide_what_is_frequent() {
        assert_eq!(fit(1, &["a", "a", "b"], &[1.0, 1.0, 3.0]).columns(), ["c=b", "c (other)"]);
        assert!(OneHot::new(OneHotParams { max_categories: 0 }).is_err());
    }

    #[test]
    fn an_id_column_is_refused_before_it_fills_the_memory() {
        let mut fitting = OneHot::default().start(&["id".into()]).expect("one column");
        let error = (0..)
            .map(|chunk| {
                let words: Vec<String> = (0..65_536).map(|i| format!("{chunk}-{i}")).collect();
                fitting.update(&text(&words), &vec![1.0; words.len()])
            })
            .find_map(Result::err)
            .expect("bounded");
        assert_eq!(error.kind(), crate::ErrorKind::ResourceExhausted);
        assert!(error.to_string().contains("column: id"), "{error}");
    }

    #[test]
    fn the_state_is_read_back_and_checked() {
        let state = fit(9, &["b", "a", ""], &[1.0; 3]).checkpoint().expect("json").state;
        let back: OneHotEncoded = serde_json::from_value(state.clone()).expect("own json");
        assert_eq!(back.categories(), ["", "a", "b"]);
        let mut broken = state;
        broken["categories"] = serde_json::json!(["b", "a"]);
        assert!(serde_json::from_value::<OneHotEncoded>(broken).is_err());
    }
}

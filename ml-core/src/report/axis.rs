use super::number;

/// What is measured along one side of a chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// The quantity with its unit, such as `delay, minutes`.
    pub label: String,
    /// Whether values are shares, shown as percent.
    pub is_percent: bool,
    /// The ends of the axis; otherwise they follow the data.
    pub range: Option<(f64, f64)>,
}

impl Axis {
    /// An axis whose ends follow the data.
    #[must_use]
    pub fn new(label: impl Into<String>) -> Self {
        Self { label: label.into(), is_percent: false, range: None }
    }

    /// The same with values shown as percent.
    #[must_use]
    pub fn percent(mut self) -> Self {
        self.is_percent = true;
        self
    }

    /// The same with fixed ends; data beyond them is drawn at the edge.
    #[must_use]
    pub fn range(mut self, from: f64, to: f64) -> Self {
        self.range = Some((from, to));
        self
    }

    pub(super) fn value(&self, value: f64) -> String {
        if self.is_percent { number::percent(value, 1) } else { number::short(value) }
    }
}

/// Maps values to coordinates, with ticks at round numbers.
#[derive(Debug)]
pub(super) struct Scale {
    from: f64,
    to: f64,
    step: f64,
    start: f64,
    length: f64,
}

impl Scale {
    /// A scale over the finite values among `values`, widened to whole ticks unless the axis fixes its ends.
    /// `length` may be negative, for axes that grow upwards.
    pub(super) fn new(axis: &Axis, values: impl Iterator<Item = f64>, ticks: f64, start: f64, length: f64) -> Self {
        let fixed = axis.range.filter(|(from, to)| from.is_finite() && to.is_finite() && from < to);
        let (mut from, mut to) = fixed.unwrap_or_else(|| {
            let (low, high) = values
                .filter(|value| value.is_finite())
                .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
            if low <= high { (low, high) } else { (0.0, 1.0) }
        });
        // Far from the ends of the floating-point range, so that no difference or step overflows or vanishes.
        from = from.clamp(-1e300, 1e300);
        to = to.clamp(-1e300, 1e300);
        let least = (from.abs().max(to.abs()) * 1e-6).max(1e-290);
        if to - from < least {
            let middle = f64::midpoint(from, to);
            let half = if middle == 0.0 { 0.5 } else { middle.abs() / 2.0 };
            (from, to) = (middle - half, middle + half);
        }
        let step = nice_step((to - from) / ticks);
        if fixed.is_none() {
            from = (from / step).floor() * step;
            to = (to / step).ceil() * step;
        }
        Self { from, to, step, start, length }
    }

    pub(super) fn at(&self, value: f64) -> f64 {
        let value = value.clamp(self.from, self.to);
        self.start + (value - self.from) / (self.to - self.from) * self.length
    }

    /// Ticks with their labels.
    pub(super) fn ticks(&self, axis: &Axis) -> Vec<(f64, String)> {
        let first = (self.from / self.step - 1e-6).ceil();
        let unit = if axis.is_percent { 100.0 } else { 1.0 };
        let shown = self.step * unit;
        let decimals = (0..=6_usize)
            .find(|&d| {
                let scaled = shown * 10_f64.powi(i32::try_from(d).expect("at most 6"));
                (scaled - scaled.round()).abs() < 1e-6 * scaled && scaled.round() >= 1.0
            })
            .unwrap_or(7);
        let largest = self.from.abs().max(self.to.abs()) * unit;
        // A step is at least a fifth of an even division, so there are few ticks; the bound is against rounding.
        (0..24)
            .map(|i| (first + f64::from(i)) * self.step)
            .take_while(|tick| *tick <= self.to + self.step * 1e-6)
            .map(|tick| {
                let tick = if tick.abs() < self.step * 1e-6 { 0.0 } else { tick };
                let text = match () {
                    () if decimals > 6 || largest >= 1e7 => number::short(tick * unit),
                    () => number::fixed(tick * unit, decimals),
                };
                (tick, if axis.is_percent { text + "%" } else { text })
            })
            .collect()
    }
}

/// The round number (1, 2 or 5 times a power of ten) next above.
fn nice_step(raw: f64) -> f64 {
    let power = 10_f64.powf(raw.log10().floor());
    let nice = match raw / power {
        m if m <= 1.000_001 => 1.0,
        m if m <= 2.000_001 => 2.0,
        m if m <= 5.000_001 => 5.0,
        _ => 10.0,
    };
    nice * power
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(axis: &Axis, values: &[f64]) -> Vec<String> {
        Scale::new(axis, values.iter().copied(), 5.0, 0.0, 100.0).ticks(axis).into_iter().map(|tick| tick.1).collect()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(labels(&Axis::new("x"), &[0.0, 0.93]), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(&Axis::new("x").percent(), &[0.0, 0.31]), ["0%", "10%", "20%", "30%", "40%"]);
        assert_eq!(labels(&Axis::new("x"), &[-1200.0, 2600.0]), ["−2,000", "−1,000", "0", "1,000", "2,000", "3,000"]);
    }

    #[test]
    fn no_values_and_one_value_have_an_axis() {
        assert_eq!(labels(&Axis::new("x"), &[]).len(), 6);
        assert!(labels(&Axis::new("x"), &[7.0]).len() > 2);
        assert!(labels(&Axis::new("x"), &[0.0]).len() > 2);
    }

    proptest! {
        #[test]
        fn every_value_has_a_place(values in prop::collection::vec(any::<f64>(), 0..6)) {
            let axis = Axis::new("x");
            let scale = Scale::new(&axis, values.iter().copied(), 5.0, 0.0, 100.0);
            let ticks = scale.ticks(&axis);
            prop_assert!((2..=24).contains(&ticks.len()), "{scale:?} {ticks:?}");
            for value in values.into_iter().filter(|v| v.is_finite()) {
                prop_assert!((-1e-6..=100.000_001).contains(&scale.at(value)), "{scale:?} {value}");
            }
        }
    }
}

//! Products of rows with many constant weights: outputs side by side in vectors, several rows at a time.
//!
//! Every output is summed in the order of the columns from the bias on, whichever rows it is computed with, so that a row
//! gets the same numbers in any batch.

/// Outputs that lie side by side.
const LANES: usize = 16;

/// Rows that share what is read of the weights: as many as their sums fit in the registers of AVX2 or NEON.
const ROWS: usize = 4;

/// Panels that share a single row, for the same reason.
const PANELS: usize = 4;

#[derive(Debug)]
pub(super) struct Panels {
    /// By panel, then by column.
    weights: Vec<[f32; LANES]>,
    /// By panel.
    bias: Vec<[f32; LANES]>,
    outputs: usize,
    columns: usize,
    #[cfg(target_arch = "x86_64")]
    fused: Option<fused::Available>,
}

impl Panels {
    /// Weights by output, then by column, and one bias an output.
    pub(super) fn new(by_output: &[f32], bias: &[f32], columns: usize) -> Self {
        let outputs = bias.len();
        let mut padded = vec![[0.0; LANES]; outputs.div_ceil(LANES)];
        padded.as_flattened_mut()[..outputs].copy_from_slice(bias);
        let mut weights = vec![[0.0; LANES]; padded.len() * columns];
        for output in 0..outputs {
            let of_output = &by_output[output * columns..(output + 1) * columns];
            let panel = &mut weights[output / LANES * columns..][..columns];
            for (lanes, weight) in panel.iter_mut().zip(of_output) {
                lanes[output % LANES] = *weight;
            }
        }
        Self {
            weights,
            bias: padded,
            outputs,
            columns,
            #[cfg(target_arch = "x86_64")]
            fused: fused::Available::detect(),
        }
    }

    /// Appends the outputs of every row.
    pub(super) fn extend(&self, rows: usize, values: &[f32], out: &mut Vec<f32>) {
        let start = out.len();
        out.resize(start + rows * self.outputs, 0.0);
        let out = &mut out[start..];
        #[cfg(target_arch = "x86_64")]
        if let Some(available) = self.fused {
            available.all(self, rows, values, out);
            return;
        }
        // Other processors have the fused instruction always or not at all.
        self.all::<{ cfg!(any(target_arch = "aarch64", target_feature = "fma")) }>(rows, values, out);
    }

    #[inline(always)]
    fn all<const FUSED: bool>(&self, rows: usize, values: &[f32], out: &mut [f32]) {
        let rest = rows % ROWS;
        let (head, tail) = values.split_at((rows - rest) * self.columns);
        let (head_out, tail_out) = out.split_at_mut((rows - rest) * self.outputs);
        for row in 0..rows / ROWS {
            let values = &head[row * ROWS * self.columns..][..ROWS * self.columns];
            let out = &mut head_out[row * ROWS * self.outputs..][..ROWS * self.outputs];
            for panel in 0..self.bias.len() {
                self.block::<ROWS, 1, FUSED>(panel, values, out);
            }
        }
        for row in 0..rest {
            let values = &tail[row * self.columns..][..self.columns];
            let out = &mut tail_out[row * self.outputs..][..self.outputs];
            let (whole, mut panel) = (self.bias.len() / PANELS * PANELS, 0);
            while panel < whole {
                self.block::<1, PANELS, FUSED>(panel, values, out);
                panel += PANELS;
            }
            for panel in whole..self.bias.len() {
                self.block::<1, 1, FUSED>(panel, values, out);
            }
        }
    }

    /// `R` rows by `P` panels.
    #[inline(always)]
    fn block<const R: usize, const P: usize, const FUSED: bool>(&self, first: usize, values: &[f32], out: &mut [f32]) {
        let columns = self.columns;
        let rows: [&[f32]; R] = std::array::from_fn(|row| &values[row * columns..][..columns]);
        let panels: [&[[f32; LANES]]; P] =
            std::array::from_fn(|panel| &self.weights[(first + panel) * columns..][..columns]);
        let mut sums: [[[f32; LANES]; P]; R] = [std::array::from_fn(|panel| self.bias[first + panel]); R];
        for column in 0..columns {
            for panel in 0..P {
                let weights = panels[panel][column];
                for row in 0..R {
                    let value = rows[row][column];
                    for lane in 0..LANES {
                        let sum = &mut sums[row][panel][lane];
                        *sum = if FUSED { value.mul_add(weights[lane], *sum) } else { *sum + value * weights[lane] };
                    }
                }
            }
        }
        for (row, sums) in sums.iter().enumerate() {
            let out = &mut out[row * self.outputs..][..self.outputs];
            for (out, sums) in out[first * LANES..].chunks_mut(LANES).zip(sums) {
                out.copy_from_slice(&sums[..out.len()]);
            }
        }
    }
}

/// The same code, made of the instructions of AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
mod fused {
    use super::Panels;

    /// That the processor has them: only [`Available::detect`] makes it.
    #[derive(Debug, Clone, Copy)]
    pub(super) struct Available(());

    impl Available {
        pub(super) fn detect() -> Option<Self> {
            (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Self(()))
        }

        #[expect(unsafe_code, reason = "instructions that not every processor has")]
        pub(super) fn all(self, panels: &Panels, rows: usize, values: &[f32], out: &mut [f32]) {
            // SAFETY: the processor has them.
            unsafe { all(panels, rows, values, out) }
        }
    }

    #[target_feature(enable = "avx2,fma")]
    fn all(panels: &Panels, rows: usize, values: &[f32], out: &mut [f32]) {
        panels.all::<true>(rows, values, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers whose products and sums are exact, so that the order does not matter.
    fn small(count: usize) -> Vec<f32> {
        (0..count).map(|at| u8::try_from(at * 7 % 23).map_or(0.0, f32::from) - 11.0).collect()
    }

    #[test]
    fn every_number_of_rows_columns_and_outputs_is_multiplied_as_on_paper() {
        for (columns, outputs) in [(1, 8), (3, 16), (5, 17), (9, 63), (8, 64), (7, 65), (2, 130)] {
            let (weights, bias) = (small(columns * outputs), small(outputs));
            let panels = Panels::new(&weights, &bias, columns);
            for rows in 0..11 {
                let values = small(rows * columns);
                let mut expected = Vec::new();
                for row in values.chunks_exact(columns) {
                    for (weights, bias) in weights.chunks_exact(columns).zip(&bias) {
                        expected.push(bias + row.iter().zip(weights).map(|(a, b)| a * b).sum::<f32>());
                    }
                }
                let mut out = vec![1.5];
                panels.extend(rows, &values, &mut out);
                assert_eq!(out[0], 1.5);
                assert_eq!(out[1..], expected, "{rows} rows of {columns} by {outputs}");
                let mut plain = vec![0.0; rows * outputs];
                panels.all::<false>(rows, &values, &mut plain);
                assert_eq!(plain, expected, "{rows} rows of {columns} by {outputs}");
            }
        }
    }

    #[test]
    fn a_row_gets_the_same_numbers_in_any_batch() {
        let (columns, outputs) = (37, 70);
        let uneven = |count: usize| small(count).iter().map(|value| value.sin()).collect::<Vec<f32>>();
        let panels = Panels::new(&uneven(columns * outputs), &uneven(outputs), columns);
        let values = uneven(9 * columns);
        let mut together = Vec::new();
        panels.extend(9, &values, &mut together);
        let mut alone = Vec::new();
        values.chunks_exact(columns).for_each(|row| panels.extend(1, row, &mut alone));
        assert_eq!(together, alone);
    }
}

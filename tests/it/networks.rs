//! Tiny networks written as functions, for tests of what lies around a network.

use std::fmt;

use unet_vol::inference::{Backend, Precision, Predictor, TensorInfo, TensorView};
use unet_vol::model::ModelSpec;
use unet_vol::{Error, Result};

/// One sample `[channels, spatial...]` to its scores `[classes, spatial...]`; the shape is the sample's.
type Function = dyn Fn(&[f32], &[usize], &mut [f32]) + Send + Sync;

/// A predictor made of a function. Sizes stay as they are and have to be multiples of `multiple`.
pub(crate) struct Network {
    input: TensorInfo,
    output: TensorInfo,
    backend: Backend,
    classes: usize,
    multiple: usize,
    /// Bytes that it claims to need for each voxel of its input.
    pub(crate) bytes_per_voxel: u64,
    function: Box<Function>,
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").field("input", &self.input).finish_non_exhaustive()
    }
}

impl Network {
    /// `rank` spatial axes.
    pub(crate) fn new(
        rank: usize,
        channels: usize,
        classes: usize,
        function: impl Fn(&[f32], &[usize], &mut [f32]) + Send + Sync + 'static,
    ) -> Self {
        let info = |name: &str, channels| TensorInfo {
            name: name.into(),
            shape: [vec![None, Some(channels)], vec![None; rank]].concat(),
        };
        Self {
            input: info("image", channels),
            output: info("scores", classes),
            backend: Backend::new("test", "1", "Rust", Precision::Fp32),
            classes,
            multiple: 1,
            bytes_per_voxel: 0,
            function: Box::new(function),
        }
    }

    /// Class `c` scores `-(x - c)^2`: the class nearest to the intensity wins.
    pub(crate) fn pointwise(classes: usize) -> Self {
        Self::new(3, 1, classes, move |input, _, output| nearest_class(input, output))
    }

    /// The same on a blur of 3 x 3 x 3 voxels that differs by axis and direction, zeros outside: it sees one voxel.
    pub(crate) fn blurred(classes: usize) -> Self {
        Self::new(3, 1, classes, move |input, shape, output| {
            nearest_class(&blur(input, [shape[3], shape[2], shape[1]]), output);
        })
    }

    /// The same on the means of 2 x 2 x 2 voxels, blurred: sides are even, and it sees 3 voxels.
    pub(crate) fn strided(classes: usize) -> Self {
        let network = Self::new(3, 1, classes, move |input, shape, output| {
            let full = [shape[3], shape[2], shape[1]];
            let half = full.map(|n| n / 2);
            let at = |n: usize, shape: [usize; 3]| [n % shape[0], n / shape[0] % shape[1], n / shape[0] / shape[1]];
            let mut low = vec![0.0; half.iter().product()];
            for (n, value) in input.iter().enumerate() {
                let [i, j, k] = at(n, full).map(|v| v / 2);
                low[i + half[0] * (j + half[1] * k)] += value / 8.0;
            }
            let low = blur(&low, half);
            let up = |n: usize| {
                let [i, j, k] = at(n, full).map(|v| v / 2);
                low[i + half[0] * (j + half[1] * k)]
            };
            nearest_class(&(0..input.len()).map(up).collect::<Vec<_>>(), output);
        });
        Self { multiple: 2, ..network }
    }
}

fn nearest_class(values: &[f32], output: &mut [f32]) {
    for (class, scores) in output.chunks_mut(values.len()).enumerate() {
        scores.iter_mut().zip(values).for_each(|(score, x)| *score = -(x - class as f32).powi(2));
    }
}

/// Weights of the voxels before, at and after along each axis sum to one.
pub(crate) fn blur(data: &[f32], shape: [usize; 3]) -> Vec<f32> {
    const WEIGHTS: [[f32; 3]; 3] = [[0.1, 0.6, 0.3], [0.25, 0.5, 0.25], [0.3, 0.65, 0.05]];
    let mut data = data.to_vec();
    for (axis, weights) in WEIGHTS.iter().enumerate() {
        let stride: usize = shape[..axis].iter().product();
        let place = |n: usize| n / stride % shape[axis];
        data = (0..data.len())
            .map(|n| {
                let before = if place(n) > 0 { weights[0] * data[n - stride] } else { 0.0 };
                let after = if place(n) + 1 < shape[axis] { weights[2] * data[n + stride] } else { 0.0 };
                before + weights[1] * data[n] + after
            })
            .collect();
    }
    data
}

impl Predictor for Network {
    fn input(&self) -> &TensorInfo {
        &self.input
    }

    fn output(&self) -> &TensorInfo {
        &self.output
    }

    fn backend(&self) -> &Backend {
        &self.backend
    }

    fn output_shape(&self, shape: &[usize]) -> Result<Vec<usize>> {
        if shape[2..].iter().any(|n| !n.is_multiple_of(self.multiple)) {
            return Err(Error::model(format!("{shape:?} does not divide by {}", self.multiple)));
        }
        Ok([&[shape[0], self.classes], &shape[2..]].concat())
    }

    fn working_bytes(&self, shape: &[usize]) -> Result<u64> {
        Ok(self.bytes_per_voxel * shape.iter().product::<usize>() as u64)
    }

    fn predict(&self, input: TensorView<'_>, output: &mut [f32]) -> Result<()> {
        let batch = input.shape[0];
        let (values, scores) = (input.data.len() / batch, output.len() / batch);
        for (input_of_one, scores) in input.data.chunks(values).zip(output.chunks_mut(scores)) {
            (self.function)(input_of_one, &input.shape[1..], scores);
        }
        Ok(())
    }
}

/// A description with labels `10, 20, ...` for classes `1, 2, ...`, and `more` TOML before them.
pub(crate) fn spec(classes: usize, more: &str) -> ModelSpec {
    let label = |class: usize| format!("[[labels]]\nclass = {class}\nid = {}\nname = 'class {class}'\n", 10 * class);
    let labels: String = (1..classes).map(label).collect();
    ModelSpec::parse(&format!("schema = 1\nname = 'test'\n{more}\n{labels}")).unwrap()
}

//! A network of one's own, without ONNX: here a threshold, run through the same grid, tiles and decision.
#![expect(clippy::print_stdout, reason = "an example talks")]

use unet_vol::inference::{Backend, Precision, Predictor, TensorInfo, TensorView};
use unet_vol::model::ModelSpec;
use unet_vol::pipeline::Pipeline;
use unet_vol::{Affine, Grid, Result, Volume};

/// Scores 0.5 for background and the intensity itself for `bright`.
#[derive(Debug)]
struct Threshold {
    input: TensorInfo,
    output: TensorInfo,
    backend: Backend,
}

impl Predictor for Threshold {
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
        Ok([&[shape[0], 2], &shape[2..]].concat())
    }

    fn working_bytes(&self, _: &[usize]) -> Result<u64> {
        Ok(0)
    }

    fn predict(&self, input: TensorView<'_>, output: &mut [f32]) -> Result<()> {
        let (background, bright) = output.split_at_mut(input.data.len());
        background.fill(0.5);
        bright.copy_from_slice(input.data);
        Ok(())
    }
}

fn main() -> Result<()> {
    let spec = ModelSpec::parse("schema = 1\nname = 'threshold'\n[[labels]]\nclass = 1\nid = 7\nname = 'bright'\n")?;
    let info = |channels| TensorInfo { name: "x".into(), shape: vec![None, Some(channels), None, None, None] };
    let backend = Backend::new("threshold", "1", "Rust", Precision::Fp32);
    let predictor = Threshold { input: info(1), output: info(2), backend };
    let pipeline = Pipeline::with_predictor(spec, Box::new(predictor))?;

    let grid = Grid::new([32, 32, 16], Affine::from_spacing([1.0, 1.0, 3.0], [0.0; 3])?)?;
    let ramp = (0..grid.voxels()).map(|v| (v % 32) as f32 / 31.0).collect();
    let outcome = pipeline.segment(&[Volume::new(grid, ramp)?])?;
    let bright = outcome.labels.ids.data().iter().filter(|&&id| id == 7).count();
    println!("{bright} of {} voxels are bright", grid.voxels());
    Ok(())
}

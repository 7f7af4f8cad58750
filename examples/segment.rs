//! Segments a head and writes the labels beside it: `cargo run --release --example segment -- study.nii.gz`
#![expect(clippy::print_stdout, reason = "an example talks")]

use unet_vol::pipeline::Pipeline;

fn main() -> unet_vol::Result<()> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "testdata/synthetic_head.nii.gz".to_owned());
    let segmentation = Pipeline::brain_mri()?.run(&path)?;
    for label in segmentation.statistics.labels.iter().filter(|label| label.voxels > 0) {
        println!("{:>5}  {:<36} {:>9.2} ml", label.id, label.name, label.ml);
    }
    let output = std::env::temp_dir().join(format!("unet-vol-example-{}.nii.gz", std::process::id()));
    let certificate = segmentation.save(&output)?;
    println!("{} ({:.1e} mm off at most)", output.display(), certificate.largest_error_mm);
    Ok(())
}

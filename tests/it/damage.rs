//! Damaged files: whatever happens to their bytes, there is an answer, soon and within the memory allowed.
//!
//! 10,000 seeded mutations of small files; `tests/fuzz` has the same as targets for libFuzzer.
#![allow(clippy::cast_possible_truncation, reason = "remainders are small")]
#![allow(unsafe_code, reason = "a global allocator that watches how much each thread holds")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::Path;
use std::time::Instant;

use crate::support::repository;
use tried::{nifti, onnx};

#[path = "../fuzz/tried.rs"]
mod tried;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// The system's allocator; each thread remembers how much it held at most.
struct Watch;

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Watch {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size() as isize);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size() as isize);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size as isize);
        note(-(layout.size() as isize));
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        note(-(layout.size() as isize));
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn note(change: isize) {
    // The last allocations of a thread may come after its variables are gone.
    let _ = HELD.try_with(|held| {
        held.set(held.get().wrapping_add(change));
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(held.get())));
    });
}

#[global_allocator]
static WATCH: Watch = Watch;

/// Bytes that reading one small file may hold at a time.
const CAP: isize = 64 << 20;

/// A generator of repeatable numbers (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n.max(1) as u64) as usize
    }
}

/// Up to five changes; half of those to single bytes fall between `head` and 1 KiB after it, where they mean more.
fn mutate(bytes: &mut Vec<u8>, head: usize, random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        match random.below(6) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes.truncate(at.max(head)),
            2 if at + 4 <= bytes.len() => {
                let length = [u32::MAX, 0x7fff_ffff, 0xffff_fff0, 0, 65_535, 1 << 24][random.below(6)];
                bytes[at..at + 4].copy_from_slice(&length.to_le_bytes());
            }
            3 => bytes.insert(at, random.below(256) as u8),
            4 => {
                bytes.drain(at..(at + 1 + random.below(16)).min(bytes.len()));
            }
            _ => {
                let at = head + random.below(bytes.len().min(head + 1024).saturating_sub(head));
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = random.below(256) as u8;
                }
            }
        }
        if bytes.is_empty() {
            return;
        }
    }
}

/// Tries `count` mutations of the seeds, which are read as they are, and prints what became of them.
fn try_all(kind: &str, seeds: &[Vec<u8>], head: usize, count: usize, tried: impl Fn(&[u8]) -> bool + Sync) {
    // Work that a pool would share stays on this thread, whose memory is watched.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let (mut read, mut peak, mut slowest) = (0, 0, 0.0_f64);
    for (n, seed) in seeds.iter().enumerate() {
        assert!(pool.install(|| tried(seed)), "{kind} seed {n} is not read");
    }
    let start = Instant::now();
    for n in 0..count {
        let mut bytes = seeds[n % seeds.len()].clone();
        mutate(&mut bytes, head, &mut random);
        let before = Instant::now();
        let (is_read, held) = pool.install(|| {
            let before = HELD.get();
            PEAK.set(before);
            (tried(&bytes), PEAK.get() - before)
        });
        read += usize::from(is_read);
        peak = peak.max(held);
        slowest = slowest.max(before.elapsed().as_secs_f64());
        assert!(held <= CAP, "{kind} file {n} held {held} bytes");
    }
    let (seconds, refused) = (start.elapsed().as_secs_f64(), count - read);
    let mib = peak as f64 / f64::from(1 << 20);
    eprintln!(
        "{kind}: {count} damaged files of {} seeds in {seconds:.1} s: {refused} refused, {read} read, {mib:.1} MiB held \
         at most, the slowest took {slowest:.3} s",
        seeds.len()
    );
    assert!(slowest < 5.0, "one file took {slowest:.1} s");
    assert!(refused > count / 20 && read > count / 20, "the mutations are too rough or too gentle");
}

/// Passes bytes on as a file.
fn as_file(name: &str, tried: impl Fn(&Path) -> bool + Sync) -> impl Fn(&[u8]) -> bool + Sync {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    move |bytes| {
        let _ = &folder;
        std::fs::write(&path, bytes).unwrap();
        tried(&path)
    }
}

/// The files of a folder of made data that end so, sorted by name.
fn made(folder: &str, suffix: &str) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(repository("testdata").join(folder)).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.to_string_lossy().ends_with(suffix));
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

#[cfg(feature = "dicom")]
#[test]
fn five_thousand_damaged_dicom_files_are_answered() {
    use crate::dicom_writer::{BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT, RLE, rle, samples, slice};
    use crate::support::shared;

    let mut seeds: Vec<_> = [IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED].map(|syntax| slice(0).file(syntax)).to_vec();
    seeds.push(slice(1).fragments(vec![Vec::new(), rle(&samples(1))]).file(RLE));
    seeds.extend(made("dicom", ".dcm"));
    assert_eq!(seeds.len(), 14);
    let real = [
        "MR_small_jpeg_ls_lossless",
        "CT_small_htj2k",
        "emri_small_RLE",
        "emri_small_jpeg_2k_lossless",
        "JPGExtended",
        "JPEG2000",
        "dx_image_jpeg_baseline",
        "rtdose",
    ];
    for name in real {
        seeds.extend(shared(&format!("data/dicom/single/{name}.dcm")).map(|path| std::fs::read(path).unwrap()));
    }
    try_all("DICOM", &seeds, 132, 5000, as_file("damaged.dcm", tried::dicom));
}

#[cfg(feature = "dicom")]
#[test]
fn a_thousand_damaged_pictures_are_answered() {
    let mut seeds = made("pictures", ".jpg");
    for depth in [png::BitDepth::Eight, png::BitDepth::Sixteen] {
        let mut out = Vec::new();
        let mut encoder = png::Encoder::new(&mut out, 5, 4);
        encoder.set_depth(depth);
        let bytes: Vec<u8> = (0..if depth == png::BitDepth::Eight { 20 } else { 40 }).collect();
        encoder.write_header().unwrap().write_image_data(&bytes).unwrap();
        seeds.push(out);
    }
    assert_eq!(seeds.len(), 5);
    try_all("picture", &seeds, 0, 1000, as_file("damaged", tried::picture));
}

#[test]
fn two_and_a_half_thousand_damaged_nifti_files_are_answered() {
    let mut seeds = made("nifti", ".nii");
    seeds.extend(made("nifti", ".nii.gz"));
    seeds.retain(|seed| as_file("seed.nii", nifti)(seed));
    assert!(seeds.len() >= 20, "{}", seeds.len());
    try_all("NIfTI", &seeds, 0, 2500, as_file("damaged.nii", nifti));
}

#[test]
fn two_and_a_half_thousand_damaged_models_are_answered() {
    let mut seeds = made("onnx/operators", ".onnx");
    seeds.extend(made("onnx/networks", ".onnx"));
    seeds.retain(|seed| onnx(seed));
    assert!(seeds.len() >= 50, "{}", seeds.len());
    try_all("ONNX", &seeds, 0, 2500, onnx);
}

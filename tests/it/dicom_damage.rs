//! Damaged DICOM files: whatever happens to their bytes, there is an answer, soon and within the memory allowed.
#![allow(clippy::cast_possible_truncation, reason = "remainders are small")]
#![allow(unsafe_code, reason = "a global allocator that watches the largest request")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::Path;
use std::time::Instant;

use unet_vol::formats::ReadOptions;
use unet_vol::formats::dicom;
use unet_vol::limits::Limits;

use crate::dicom_writer::{BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT, RLE, rle, samples, slice};
use crate::support::shared;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator; each thread remembers its largest request.
struct Watch;

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Watch {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn note(size: usize) {
    // The last allocations of a thread may come after its variables are gone.
    let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(size)));
}

#[global_allocator]
static WATCH: Watch = Watch;

/// Mutated files in all.
const COUNT: usize = 2000;
/// Bytes of the largest request for a file of at most 60 KB.
const CAP: usize = 50 << 20;

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

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        match random.below(6) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes.truncate(at.max(140)),
            2 if at + 4 <= bytes.len() => {
                let length = [u32::MAX, 0x7fff_ffff, 0xffff_fff0, 0, 65_535, 1 << 24][random.below(6)];
                bytes[at..at + 4].copy_from_slice(&length.to_le_bytes());
            }
            3 => bytes.insert(at, random.below(256) as u8),
            4 => {
                bytes.drain(at..(at + 1 + random.below(16)).min(bytes.len()));
            }
            _ => {
                // Within the header, where a change means more.
                let at = 132 + random.below(bytes.len().min(1200).saturating_sub(132));
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

fn read_everything(path: &Path, limits: &Limits) {
    let Ok(triage) = dicom::scan(path, limits) else { return };
    for row in &triage.series {
        let options =
            ReadOptions::new().with_series(Some(row.number.to_string())).with_volume(Some(0)).with_limits(*limits);
        let _ = triage.read_as::<f32>(&options);
    }
    let _ = dicom::read_stored(path, limits);
}

#[test]
fn two_thousand_damaged_files_are_answered() {
    let compressed = slice(1).fragments(vec![Vec::new(), rle(&samples(1))]);
    let mut seeds: Vec<_> = [IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED].map(|syntax| slice(0).file(syntax)).to_vec();
    seeds.push(compressed.file(RLE));
    let real = [
        "MR_small_RLE",
        "MR_small_jp2klossless",
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
    if let Some(folder) = shared("data/dicom/series/mr_t1_ge_head_jpll") {
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        seeds.push(std::fs::read(files.iter().find(|path| path.is_file()).unwrap()).unwrap());
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged");
    let limits = Limits::default();
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let start = Instant::now();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let mut worst = (0, 0.0);
    for n in 0..COUNT {
        let mut bytes = seeds[n % seeds.len()].clone();
        mutate(&mut bytes, &mut random);
        std::fs::write(&path, &bytes).unwrap();
        let before = start.elapsed().as_secs_f64();
        let largest = pool.install(|| {
            LARGEST.set(0);
            read_everything(&path, &limits);
            LARGEST.get()
        });
        worst = (worst.0.max(largest), f64::max(worst.1, start.elapsed().as_secs_f64() - before));
        assert!(largest <= CAP, "file {n} made a request of {largest} bytes");
    }
    let seconds = start.elapsed().as_secs_f64();
    eprintln!("{COUNT} damaged files in {seconds:.1} s; largest request {} bytes, slowest {:.3} s", worst.0, worst.1);
    assert!(worst.1 < 2.0, "one file took {:.1} s", worst.1);
}

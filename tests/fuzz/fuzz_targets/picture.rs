#![no_main]

#[allow(dead_code)]
#[path = "../tried.rs"]
mod tried;

use std::io::Write;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut file = tempfile::Builder::new().tempfile().unwrap();
    file.write_all(bytes).unwrap();
    tried::picture(file.path());
});

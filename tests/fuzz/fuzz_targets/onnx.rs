#![no_main]

#[allow(dead_code)]
#[path = "../tried.rs"]
mod tried;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tried::onnx(bytes);
});

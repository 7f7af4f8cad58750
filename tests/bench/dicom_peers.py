"""DICOM series for the benchmark, and how SimpleITK and pydicom read them.

    python tests/bench/dicom_peers.py make SERIES FOLDER            # series `plain` and `lossless`, and `tree` of 10,000 files
    python tests/bench/dicom_peers.py read|triage PEER FOLDER

`read` and `triage` print one line of JSON with wall and processor seconds; imports are not counted.
"""

import json
import sys
import time
from pathlib import Path

COPIES, TREE = 3, 10_000


def make(series, folder):
    """The slices of a series, `COPIES` times one above the other, as they are and uncompressed; and many files of small series."""
    import numpy as np
    import pydicom
    from pydicom.uid import generate_uid

    files = sorted(path for path in Path(series).iterdir() if path.is_file())
    read = [pydicom.dcmread(path) for path in files]
    row, column = np.split(np.array(read[0].ImageOrientationPatient, float), 2)
    normal = np.cross(row, column)
    read.sort(key=lambda d: normal @ np.array(d.ImagePositionPatient, float))
    first, last = (np.array(d.ImagePositionPatient, float) for d in (read[0], read[-1]))
    step = (last - first) / (len(read) - 1)
    for name in ("lossless", "plain"):
        (folder / name).mkdir(parents=True)
    for n in range(COPIES):
        for k, data in enumerate(read):
            number = n * len(read) + k
            data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            data.ImagePositionPatient = [f"{v:.9f}"[:16] for v in first + number * step]
            data.save_as(folder / f"lossless/{number:04}.dcm")
            plain = pydicom.dcmread(folder / f"lossless/{number:04}.dcm")
            plain.decompress(generate_instance_uid=False)
            plain.save_as(folder / f"plain/{number:04}.dcm")
    # Another UID of the same length makes another series.
    uid = read[0].SeriesInstanceUID.encode()
    contents = [path.read_bytes() for path in files]
    for n in range(TREE):
        copy = n // len(files)
        target = folder / f"tree/{copy:03}"
        target.mkdir(parents=True, exist_ok=True)
        other = uid[:-4] + f"{1000 + copy}".encode()
        (target / f"{n % len(files):03}").write_bytes(contents[n % len(files)].replace(uid, other))


def read(folder):
    import SimpleITK

    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(2)

    def work():
        reader = SimpleITK.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
        return reader.Execute().GetSize()

    return work


def triage(folder):
    import pydicom

    def work():
        found = set()
        for path in folder.rglob("*"):
            if path.is_file():
                found.add(pydicom.dcmread(path, stop_before_pixels=True).SeriesInstanceUID)
        return len(found)

    return work


def main():
    task, what, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    if task == "make":
        make(what, folder)
        print(json.dumps({}))
        return
    try:
        work = {"SimpleITK": read, "pydicom": triage}[what](folder)
    except ImportError:
        sys.exit(77)
    wall, cpu = time.perf_counter(), time.process_time()
    found = work()
    print(json.dumps({"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "found": found}))


if __name__ == "__main__":
    main()

// What Rust programs do through std: arguments, environment, files, hash maps with random seeds, time.
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

fn count_words(path: &str) -> io::Result<HashMap<String, usize>> {
    let mut words = HashMap::new();
    for line in BufReader::new(File::open(path)?).lines() {
        for word in line?.split_whitespace() {
            *words.entry(word.to_string()).or_insert(0) += 1;
        }
    }
    Ok(words)
}

fn files() -> io::Result<()> {
    fs::create_dir_all("/out/a/b")?;
    fs::write("/out/a/b/note.txt", "hello from rust\n")?;
    fs::copy("/out/a/b/note.txt", "/out/a/copy.txt")?;
    fs::rename("/out/a/copy.txt", "/out/moved.txt")?;
    fs::hard_link("/out/moved.txt", "/out/hard.txt")?;
    let mut file = OpenOptions::new().read(true).write(true).open("/out/moved.txt")?;
    file.seek(SeekFrom::End(-5))?;
    file.write_all(b"RUST!")?;
    file.set_len(14)?;
    file.rewind()?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    println!("{:?} {:?}", text, fs::read_to_string("/out/hard.txt")?);
    OpenOptions::new().append(true).open("/out/hard.txt")?.write_all(b"++")?;
    println!("{} bytes", fs::metadata("/out/moved.txt")?.len());
    let mut names: Vec<String> = fs::read_dir("/out")?.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    println!("{:?}", names);
    names.sort();
    println!("{:?} {:?}", fs::remove_dir("/out/a").map_err(|e| e.kind()), File::create("/in/new").map_err(|e| e.kind()).err());
    println!("{:?} {:?}", File::open("/out/none").map_err(|e| e.kind()).err(), fs::read("/etc/passwd").map_err(|e| e.kind()).err());
    fs::remove_dir_all("/out/a")?;
    fs::remove_file("/out/hard.txt")?;
    println!("{}", fs::exists("/out/a")?);
    Ok(())
}

fn main() -> io::Result<()> {
    println!("{:?} {:?}", std::env::args().collect::<Vec<_>>(), std::env::var("STARLING_UNIT"));
    let words = count_words("/in/data.txt")?;
    println!("{:?}", words.iter().collect::<BTreeMap<_, _>>());
    let set: HashSet<u32> = (0..20).collect();
    println!("order {:?}", set.iter().collect::<Vec<_>>()); // depends on the random seed: the same on every tier
    let start = Instant::now();
    std::thread::sleep(Duration::from_millis(1500));
    println!("slept {} ms", start.elapsed().as_millis());
    println!("since 1970: {} s", SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs());
    files()?;
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    println!("stdin {:?} sum {:.3} {:?}", line.trim_end(), (1..=100).map(|x| 1.0 / x as f64).sum::<f64>(), "7x".parse::<i32>().is_err());
    Ok(())
}

// Weights of the candidates of a crossing by the network `total`, in C++ with ONNX Runtime:
//     weights MODEL INPUTS N > WEIGHTS
// INPUTS holds the three arrays one after another as write_inputs.py writes them; production code fills them itself.
#include <onnxruntime_cxx_api.h>

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

template <class T> std::vector<T> read(std::ifstream &file, int64_t n) {
    std::vector<T> numbers(n);
    file.read(reinterpret_cast<char *>(numbers.data()), n * sizeof(T));
    return numbers;
}

int main(int, char **argv) {
    const int64_t n = std::stoll(argv[3]), wide[] = {n, 55}, three[] = {n, 3}, near[] = {n, 16};
    std::ifstream file(argv[2], std::ios::binary);
    auto features = read<float>(file, n * 55), coordinates = read<float>(file, n * 3);
    auto neighbours = read<int64_t>(file, n * 16);

    // The ten lines: a session serves any number of crossings, each of any number of candidates.
    Ort::Env env;
    Ort::Session session(env, argv[1], Ort::SessionOptions());
    auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    const char *names[] = {"features", "coordinates", "neighbours"}, *given[] = {"weights"};
    std::vector<Ort::Value> inputs;
    inputs.push_back(Ort::Value::CreateTensor(memory, features.data(), features.size(), wide, 2));
    inputs.push_back(Ort::Value::CreateTensor(memory, coordinates.data(), coordinates.size(), three, 2));
    inputs.push_back(Ort::Value::CreateTensor(memory, neighbours.data(), neighbours.size(), near, 2));
    auto outputs = session.Run(Ort::RunOptions(), names, inputs.data(), inputs.size(), given, 1);
    const float *weights = outputs[0].GetTensorData<float>();

    for (int64_t i = 0; i < n; i++) std::printf("%.9g\n", weights[i]);
}

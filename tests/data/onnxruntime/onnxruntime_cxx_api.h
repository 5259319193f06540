// A stand-in for the header of this name, of as much of its C++ interface as our example uses.
//
// The wheel of ONNX Runtime has the library without headers. Its functions are had through a table that may only grow:
// the places below belong to its version 1, frozen since 2019. Where the real header is, the test takes that one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <utility>
#include <vector>

struct OrtStatus;
struct OrtApiBase {
    void *const *(*GetApi)(uint32_t version);
    const char *(*GetVersionString)();
};
extern "C" const OrtApiBase *OrtGetApiBase();

enum OrtAllocatorType { OrtArenaAllocator = 1 };
enum OrtMemType { OrtMemTypeDefault = 0 };

namespace Ort {

enum Place {
    GetErrorMessage = 2, CreateEnv = 3, CreateSession = 7, RunSession = 9, CreateSessionOptions = 10,
    CreateRunOptions = 39, CreateTensorWithData = 49, GetTensorMutableData = 51, CreateCpuMemoryInfo = 69,
    ReleaseEnv = 92, ReleaseStatus = 93, ReleaseMemoryInfo = 94, ReleaseSession = 95, ReleaseValue = 96,
    ReleaseRunOptions = 97, ReleaseSessionOptions = 100,
};

template <class Result, class... Arguments> Result at(Place place, Arguments... arguments) {
    return reinterpret_cast<Result (*)(Arguments...)>(OrtGetApiBase()->GetApi(1)[place])(arguments...);
}

template <class... Arguments> void call(Place place, Arguments... arguments) {
    if (auto *status = at<OrtStatus *>(place, arguments...)) {
        const std::runtime_error error(at<const char *>(GetErrorMessage, static_cast<const OrtStatus *>(status)));
        at<void>(ReleaseStatus, status);
        throw error;
    }
}

template <Place release> struct Owned {
    void *pointer = nullptr;

    Owned() = default;
    Owned(Owned &&other) : pointer(std::exchange(other.pointer, nullptr)) {}
    ~Owned() {
        if (pointer) at<void>(release, pointer);
    }
};

struct Env : Owned<ReleaseEnv> {
    Env() { call(CreateEnv, 2, "", &pointer); }  // 2: warnings
};

struct SessionOptions : Owned<ReleaseSessionOptions> {
    SessionOptions() { call(CreateSessionOptions, &pointer); }
};

struct RunOptions : Owned<ReleaseRunOptions> {
    RunOptions() { call(CreateRunOptions, &pointer); }
};

struct MemoryInfo : Owned<ReleaseMemoryInfo> {
    static MemoryInfo CreateCpu(OrtAllocatorType allocator, OrtMemType memory) {
        MemoryInfo info;
        call(CreateCpuMemoryInfo, allocator, memory, &info.pointer);
        return info;
    }
};

inline int element(const float *) { return 1; }
inline int element(const int64_t *) { return 7; }

struct Value : Owned<ReleaseValue> {
    template <class T>
    static Value CreateTensor(const MemoryInfo &info, T *data, size_t n, const int64_t *shape, size_t rank) {
        Value value;
        void *bytes = data;
        call(CreateTensorWithData, info.pointer, bytes, n * sizeof(T), shape, rank, element(data), &value.pointer);
        return value;
    }
    template <class T> const T *GetTensorData() const {
        void *data = nullptr;
        call(GetTensorMutableData, pointer, &data);
        return static_cast<const T *>(data);
    }
};

struct Session : Owned<ReleaseSession> {
    Session(const Env &env, const char *path, const SessionOptions &options) {
        call(CreateSession, env.pointer, path, options.pointer, &pointer);
    }
    std::vector<Value> Run(const RunOptions &options, const char *const *names, const Value *inputs, size_t n_inputs,
                           const char *const *given, size_t n_given) {
        std::vector<void *> values, results(n_given);
        for (size_t i = 0; i < n_inputs; i++) values.push_back(inputs[i].pointer);
        call(RunSession, pointer, options.pointer, names, values.data(), n_inputs, given, n_given, results.data());
        std::vector<Value> outputs(n_given);
        for (size_t i = 0; i < n_given; i++) outputs[i].pointer = results[i];
        return outputs;
    }
};

}  // namespace Ort

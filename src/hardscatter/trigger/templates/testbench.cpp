// Runs the firmware on candidates given as integers, one a line, and compares every bit of its answers.
// Exit code 0 if all are equal, as C simulation and co-simulation of Vitis HLS want it.
#include "firmware/${name}.h"

#include <cstdio>
#include <fstream>

int main(int argc, char **argv) {
    std::ifstream inputs(argc > 1 ? argv[1] : "tb_data/inputs.txt");
    std::ifstream outputs(argc > 2 ? argv[2] : "tb_data/outputs.txt");
    long candidates = 0, different = 0, value;
    while (inputs >> value) {
        input_t candidate[${n_inputs}];
        for (int i = 0; i < ${n_inputs}; i++) {
            if (i && !(inputs >> value)) {
                std::printf("candidate %ld is cut short\n", candidates);
                return 2;
            }
            candidate[i](input_t::width - 1, 0) = value;
        }
        result_t given[1], wanted;
        ${name}(candidate, given);
        if (!(outputs >> value)) {
            std::printf("there is no answer to candidate %ld\n", candidates);
            return 2;
        }
        wanted(result_t::width - 1, 0) = value;
        different += given[0] != wanted;
        candidates++;
    }
    std::printf("%ld of %ld candidates differ\n", different, candidates);
    return different || !candidates;
}

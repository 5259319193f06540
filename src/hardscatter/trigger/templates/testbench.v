// Gives the firmware one candidate a clock and compares every bit of its answers, ${latency} clocks later.
`timescale 1 ns / 1 ps

module testbench;
    reg [${input_bits} - 1:0] inputs [0:${n_vectors} - 1];
    reg [${output_bits} - 1:0] outputs [0:${n_vectors} - 1];
    reg clk = 0;
    reg [${input_bits} - 1:0] candidate = 0;
    wire [${output_bits} - 1:0] answer;
    integer i, different = 0;

    ${name} firmware (.clk(clk), .model_inp(candidate), .model_out(answer));

    always #1 clk = ~clk;

    initial begin
        $$readmemh("inputs.hex", inputs);
        $$readmemh("outputs.hex", outputs);
        for (i = 0; i < ${n_vectors} + ${latency}; i = i + 1) begin
            @(negedge clk);
            if (i >= ${latency})
                if (answer !== outputs[i - ${latency}]) different = different + 1;
            if (i < ${n_vectors}) candidate = inputs[i];
        end
        $$display("%0d of %0d candidates differ", different, ${n_vectors});
        $$finish;
    end
endmodule
